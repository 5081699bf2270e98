import type { Properties } from '../../src/policy/model.ts'
import type { Conditions, NaiveScope } from './naive.ts'

/** Conditions and schemas for random policies, each with what it means, written down a second time and without CEL. */

type Truth = boolean | undefined // undefined: an error

const isTrue = (value: unknown): Truth => (typeof value === 'boolean' ? value : undefined)
const or = (a: Truth, b: Truth): Truth =>
  a === true || b === true ? true : a === false && b === false ? false : undefined
const and = (a: Truth, b: Truth): Truth =>
  a === false || b === false ? false : a === true && b === true ? true : undefined
const number = (value: unknown, test: (value: number) => boolean): Truth =>
  typeof value === 'number' ? test(value) : undefined
const has = (value: unknown, then: Truth): Truth => (value === undefined ? undefined : then)
const list = (value: unknown, test: (value: readonly unknown[]) => boolean): Truth =>
  Array.isArray(value) ? test(value) : undefined

const HOUR = 3_600_000

// Zurich is an hour ahead of UTC, and two from April to September; nobody asks about the weeks between.
function inZurich(now: number): Date {
  const month = new Date(now).getUTCMonth()
  return new Date(now + (month >= 3 && month <= 8 ? 2 : 1) * HOUR)
}

function levelOf(of: unknown, levels: readonly string[]): number | undefined {
  const place = typeof of === 'string' ? levels.indexOf(of) : of
  return typeof place === 'number' && levels[place] !== undefined ? place : undefined
}

const WITHIN_TEN = new Map<unknown, boolean>([
  ['10.1.2.3', true],
  ['192.168.0.1', false],
  ['::ffff:10.0.0.1', true],
  ['2001:db8::1', false],
])

type Meaning = readonly [condition: string, (scope: NaiveScope) => Truth]

/** The last two do not compile. */
export const MEANINGS: readonly [Meaning, ...Meaning[]] = [
  ['true', () => true],
  ['false', () => false],
  ['context.flag', ({ context }) => isTrue(context['flag'])],
  ['!context.flag', ({ context }) => has(isTrue(context['flag']), context['flag'] === false)],
  ['context.n + 1 > 2', ({ context }) => number(context['n'], (n) => n + 1 > 2)],
  ['context.n in [1, 2]', ({ context }) => number(context['n'], (n) => n === 1 || n === 2)],
  ['context.flag || subject.known', ({ context, subject }) => or(isTrue(context['flag']), subject.known)],
  [
    'action.name.startsWith("edit") && action.properties.flag',
    ({ action }) => and(action.name.startsWith('edit'), isTrue(action.properties['flag'])),
  ],
  [
    'resource.properties.owner == subject.id',
    ({ resource, subject }) => has(resource.properties['owner'], resource.properties['owner'] === subject.id),
  ],
  ['resource.properties.?owner.orValue("a") == "a"', ({ resource }) => (resource.properties['owner'] ?? 'a') === 'a'],
  ['resource.id.matches("^a.*b$")', ({ resource }) => resource.id.startsWith('a') && /.b$/.test(resource.id)],
  ['subject.properties.level >= 2', ({ subject }) => number(subject.properties['level'], (level) => level >= 2)],
  ['has(subject.properties.level)', ({ subject }) => subject.properties['level'] !== undefined],
  [
    'level(subject) >= level("read_write")',
    ({ subject, levels }) => {
      const held = levelOf(subject.properties['level'], levels)
      const needed = levelOf('read_write', levels)
      return held === undefined || needed === undefined ? undefined : held >= needed
    },
  ],
  ['"r2" in subject.roles', ({ subject }) => subject.roles?.includes('r2')],
  ['subject.roles.size() > 1', ({ subject }) => has(subject.roles, (subject.roles?.length ?? 0) > 1)],
  [
    'subset(subject.roles, ["r1", "r2", "r3"])',
    ({ subject }) => subject.roles?.every((role) => ['r1', 'r2', 'r3'].includes(role)),
  ],
  [
    'intersects(context.tags, ["a", "b"])',
    ({ context }) => list(context['tags'], (tags) => tags.includes('a') || tags.includes('b')),
  ],
  ['context.tags.exists(tag, tag == 1)', ({ context }) => list(context['tags'], (tags) => tags.includes(1))],
  ['ip_in(context.ip, "10.0.0.0/8")', ({ context }) => WITHIN_TEN.get(context['ip'])],
  [
    'now - timestamp(context.since) < duration("1h")',
    ({ context, now }) => number(Date.parse(String(context['since'])) || undefined, (since) => now - since < HOUR),
  ],
  ['now.getHours("Europe/Zurich") == 0', ({ now }) => inZurich(now).getUTCHours() === 0],
  ['now.getDayOfWeek("Europe/Zurich") == 2', ({ now }) => inZurich(now).getUTCDay() === 2],
  [
    'resource.known && now < timestamp("2030-01-01T00:00:00Z")',
    ({ resource, now }) => resource.known && now < Date.parse('2030-01-01T00:00:00Z'),
  ],
  ['subject.idd == "a"', () => undefined],
  ['context.', () => undefined],
]

export const CONDITIONS: Conditions = new Map(MEANINGS)

/** A schema of properties, and which members of some it finds fault with. */
export interface SchemaMeaning {
  readonly schema: Properties
  faults(properties: Properties): string[]
}

export const SCHEMAS: readonly [SchemaMeaning, ...SchemaMeaning[]] = [
  {
    schema: { properties: { level: { type: 'integer', maximum: 1 }, owner: { enum: ['a', 'b'] } } },
    faults: ({ level = 1, owner = 'a' }) => [
      ...(typeof level === 'number' && Number.isInteger(level) && level <= 1 ? [] : ['level']),
      ...(owner === 'a' || owner === 'b' ? [] : ['owner']),
    ],
  },
  {
    schema: { required: ['owner'], properties: { flag: { const: true } } },
    faults: ({ owner, flag = true }) => [...(owner === undefined ? ['owner'] : []), ...(flag === true ? [] : ['flag'])],
  },
]
