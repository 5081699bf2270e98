import type {
  AccessRequest,
  Assignment,
  Bundle,
  Entity,
  EntityRef,
  EntityType,
  Obligation,
  Permission,
  Policy,
  Properties,
  ResourceSelector,
  Role,
  Rule,
  SubjectSelector,
} from '../../src/policy/model.ts'
import type { Conditions, NaiveScope } from './naive.ts'

/** Random policies over a universe so small that everything collides. The same seed makes the same policy. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0
  }

  one<T>(of: readonly [T, ...T[]]): T {
    return of[this.below(of.length)] ?? of[0]
  }

  some<T>(most: number, make: () => T, least = 0): T[] {
    return Array.from({ length: least + this.below(most - least + 1) }, make)
  }

  maybe<T>(oneIn: number, make: () => T): T | undefined {
    return this.chance(oneIn) ? make() : undefined
  }
}

const SUBJECT_TYPES = ['user', 'group'] as const
const RESOURCE_TYPES = ['doc', 'folder', '*'] as const
const NAMES = ['a', 'b', 'c'] as const
const RESOURCE_IDS = ['a', 'b', 'a/b', 'a/b/c', 'ab', 'aab/b', 'a*', 'b/a/b'] as const
const ID_PATTERNS = [
  ...RESOURCE_IDS,
  '*',
  '**',
  'a/*',
  'a/**',
  'a**',
  '*b',
  '**/b',
  'a?',
  '?',
  'a\\*',
  '*/b/*',
  '**b**',
  'a*b*',
  '?*',
] as const
const ACTIONS = ['read', 'edit', 'edit:all', 'x'] as const
const ACTION_PATTERNS = ['read', 'edit', 'edit:*', '*', '*d*', 'e*l', '*:all', 'x', 're*'] as const
const ROLES = ['r1', 'r2', 'r3', 'r4', 'r5'] as const
const POLICIES = ['default', 'roles', 'acl', 'capabilities', 'a-b', 'a'] as const
const RULE_NAMES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9'] as const
const NOW = Date.parse('2030-01-01T00:00:00Z')
const INSTANTS = [
  '2029-12-31T23:59:59.999Z',
  '2030-01-01T00:00:00Z',
  '2030-01-01T00:00:00.001Z',
  '2030-01-01T01:00:00+01:00',
] as const

const isTrue = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined)
const or = (a: boolean | undefined, b: boolean | undefined) =>
  a === true || b === true ? true : a === false && b === false ? false : undefined
const number = (value: unknown, test: (value: number) => boolean) =>
  typeof value === 'number' ? test(value) : undefined
const has = (value: unknown, then: boolean | undefined) => (value === undefined ? undefined : then)

/** The conditions there are, each with what it means. The last two do not compile. */
const MEANINGS: readonly [string, (scope: NaiveScope) => boolean | undefined][] = [
  ['true', () => true],
  ['false', () => false],
  ['context.flag', ({ context }) => isTrue(context['flag'])],
  ['!context.flag', ({ context }) => has(isTrue(context['flag']), context['flag'] === false)],
  ['context.n + 1 > 2', ({ context }) => number(context['n'], (n) => n + 1 > 2)],
  ['context.flag || subject.known', ({ context, subject }) => or(isTrue(context['flag']), subject.known)],
  [
    'resource.properties.owner == subject.id',
    ({ resource, subject }) => has(resource.properties['owner'], resource.properties['owner'] === subject.id),
  ],
  ['subject.properties.level >= 2', ({ subject }) => number(subject.properties['level'], (level) => level >= 2)],
  ['has(subject.properties.level)', ({ subject }) => subject.properties['level'] !== undefined],
  ['"r2" in subject.roles', ({ subject }) => subject.roles?.includes('r2')],
  ['subject.roles.size() > 1', ({ subject }) => has(subject.roles, (subject.roles?.length ?? 0) > 1)],
  ['resource.known && now < timestamp("2030-01-01T00:00:00Z")', ({ resource, now }) => resource.known && now < NOW],
  ['subject.idd == "a"', () => undefined],
  ['context.', () => undefined],
]
export const CONDITIONS: Conditions = new Map(MEANINGS)

export interface Asked {
  readonly request: AccessRequest
  readonly now: number
}

/** Leaves out what is undefined, as documents do. */
function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}

export class RandomPolicy {
  readonly #dice: Dice

  constructor(dice: Dice) {
    this.#dice = dice
  }

  bundle(): Bundle {
    const dice = this.#dice
    return present<Bundle>({
      verdict: 1,
      settings: dice.maybe(3, () => ({ attribute_precedence: dice.one(['request', 'stored']) })),
      types: unique(dice.some(2, () => this.type())),
      policies: unique(dice.some(3, () => this.policy())),
      roles: unique(dice.some(4, () => this.role())),
      rules: unique(dice.some(6, () => this.rule(), 1)),
      entities: uniqueEntities(dice.some(6, () => this.#entity())),
      assignments: dice.some(4, () => this.#assignment()),
    })
  }

  /** Mostly about what is stored. */
  asked({ entities = [] }: Bundle): Asked {
    const dice = this.#dice
    const stored = (types: readonly string[]) => entities.filter(({ type }) => types.includes(type))
    const ref = (known: readonly EntityRef[], other: () => EntityRef) => known[dice.below(known.length + 1)] ?? other()
    const { type: subjectType, id: subjectId } = ref(stored(SUBJECT_TYPES), () => this.#subject())
    const { type, id } = ref(stored(RESOURCE_TYPES), () => this.#resource())
    const request = present<AccessRequest>({
      subject: { type: subjectType, id: subjectId, ...this.#asking() },
      action: { name: dice.one(ACTIONS) },
      resource: { type, id, ...this.#asking() },
      context: dice.maybe(2, () => this.#properties()),
    })
    return { request, now: NOW + dice.below(3) - 1 }
  }

  rule(): Rule {
    const dice = this.#dice
    return present<Rule>({
      name: dice.one(RULE_NAMES),
      policy: dice.maybe(2, () => dice.one(['default', 'acl', 'a-b', 'a'])),
      effect: dice.one(['allow', 'allow', 'deny']),
      subjects: dice.some(3, () => this.#subjectSelector(), 1),
      ...this.#permission(),
      priority: dice.maybe(3, () => dice.below(3) - 1),
      valid_from: dice.maybe(8, () => dice.one(INSTANTS)),
      valid_until: dice.maybe(8, () => dice.one(INSTANTS)),
      enabled: dice.maybe(8, () => dice.one([true, false])),
    })
  }

  role(): Role {
    const dice = this.#dice
    const name = dice.one(ROLES)
    // A cycle is refused when it is written: roles build on those after them alone.
    const bases = ROLES.filter((other) => other > name)
    const base = () => bases[dice.below(bases.length)] ?? name
    const some = (least: number) => [...new Set(dice.some(2, base, least))]
    return present<Role>({
      name,
      inherits: bases.length === 0 ? undefined : dice.maybe(2, () => some(0)),
      permissions: dice.maybe(2, () => dice.some(2, () => this.#permission())),
      derived: bases.length === 0 ? undefined : dice.maybe(3, () => ({ from: some(1), condition: this.#condition() })),
    })
  }

  policy(): Policy {
    const dice = this.#dice
    return present<Policy>({
      name: dice.one(POLICIES),
      combining: dice.maybe(2, () => dice.one(['deny_overrides', 'allow_overrides', 'first_applicable'])),
      required: dice.maybe(4, () => true),
      target: dice.maybe(3, () =>
        present({
          resource_types: dice.maybe(2, () => dice.some(2, () => dice.one(RESOURCE_TYPES), 1)),
          actions: dice.maybe(2, () => dice.some(2, () => dice.one(ACTION_PATTERNS), 1)),
        }),
      ),
    })
  }

  type(): EntityType {
    return {
      name: this.#dice.one(['user', 'doc']),
      protected_properties: [...new Set(this.#dice.some(2, () => this.#dice.one(['owner', 'level'])))],
    }
  }

  #permission(): Permission {
    const dice = this.#dice
    return present<Permission>({
      actions: dice.some(2, () => dice.one(ACTION_PATTERNS), 1),
      resources: dice.some(2, () => this.#resourceSelector(), 1),
      condition: dice.maybe(2, () => (dice.chance(12) ? 'context.' : this.#condition())),
      obligations: dice.maybe(3, () => dice.some(2, () => this.#obligation(), 1)),
    })
  }

  #condition(): string {
    return (MEANINGS[this.#dice.below(MEANINGS.length)] ?? ['true'])[0]
  }

  #subjectSelector(): SubjectSelector {
    const dice = this.#dice
    if (dice.chance(5)) return { any: true }
    return dice.chance(2) ? { role: dice.one(ROLES) } : this.#subject()
  }

  #resourceSelector(): ResourceSelector {
    const dice = this.#dice
    return present<ResourceSelector>({
      type: dice.one(RESOURCE_TYPES),
      id: dice.maybe(2, () => dice.one(ID_PATTERNS)),
      within: dice.maybe(3, () => this.#container()),
    })
  }

  #obligation(): Obligation {
    const dice = this.#dice
    const properties = dice.maybe(2, () =>
      dice.chance(2) ? { x: 1, y: [dice.below(2)] } : { y: [dice.below(2)], x: 1 },
    )
    return present<Obligation>({ id: dice.one(NAMES), type: 'mask', properties })
  }

  #entity(): Entity {
    const dice = this.#dice
    const isSubject = dice.chance(2)
    const resource = () => (dice.chance(2) ? this.#resource() : this.#container())
    const ref = isSubject ? this.#subject() : resource()
    return present<Entity>({
      ...ref,
      properties: dice.maybe(2, () => this.#properties()),
      // Cycles too: what is stored may hold one.
      parents: dice.maybe(2, () => dice.some(2, () => (isSubject ? this.#subject() : this.#container()), 1)),
      disabled: dice.maybe(12, () => true),
    })
  }

  #assignment(): Assignment {
    const dice = this.#dice
    return present<Assignment>({
      subject: this.#subject(),
      role: dice.chance(10) ? 'pdp:admin' : dice.one(ROLES),
      within: dice.maybe(3, () => this.#container()),
      valid_from: dice.maybe(8, () => dice.one(INSTANTS)),
      valid_until: dice.maybe(8, () => dice.one(INSTANTS)),
    })
  }

  #subject(): EntityRef {
    return { type: this.#dice.one(SUBJECT_TYPES), id: this.#dice.one(NAMES) }
  }

  #resource(): EntityRef {
    return { type: this.#dice.one(RESOURCE_TYPES), id: this.#dice.one(RESOURCE_IDS) }
  }

  #container(): EntityRef {
    return this.#dice.chance(4) ? this.#resource() : { type: 'folder', id: this.#dice.one(NAMES) }
  }

  #properties(): Properties {
    const dice = this.#dice
    return present({
      owner: dice.maybe(2, () => dice.one(NAMES)),
      level: dice.maybe(2, () => dice.one([1, 2, 'x'])),
      flag: dice.maybe(2, () => dice.one([true, false])),
      n: dice.maybe(2, () => dice.one([0, 1, 2, 3])),
    })
  }

  #asking(): { properties?: Properties } {
    return this.#dice.chance(2) ? { properties: this.#properties() } : {}
  }
}

function unique<T extends { readonly name: string }>(things: readonly T[]): T[] {
  return [...new Map(things.map((thing) => [thing.name, thing])).values()]
}

function uniqueEntities(entities: readonly Entity[]): Entity[] {
  return entities.filter(
    (one, place) => !entities.slice(0, place).some(({ type, id }) => type === one.type && id === one.id),
  )
}
