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
  Settings,
  SubjectSelector,
} from '../../src/policy/model.ts'
import { MEANINGS, SCHEMAS } from './random-meanings.ts'

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
// In summer, when a zone's clocks are put forward.
const SUMMER = Date.parse('2030-07-02T22:30:00Z')
const LEVELS: readonly [string[], ...string[][]] = [
  ['read_only', 'read_write', 'admin'],
  ['admin', 'read_write', 'read_only'],
  ['x', 'admin'],
]
const ADDRESSES: readonly [string, ...unknown[]] = ['10.1.2.3', '192.168.0.1', '::ffff:10.0.0.1', '2001:db8::1', 'x', 5]
const INSTANTS = [
  '2029-12-31T23:59:59.999Z',
  '2030-01-01T00:00:00Z',
  '2030-01-01T00:00:00.001Z',
  '2030-01-01T01:00:00+01:00',
] as const

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
      settings: dice.maybe(3, () => this.settings()),
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
      action: { name: dice.one(ACTIONS), ...this.#asking() },
      resource: { type, id, ...this.#asking() },
      context: dice.maybe(2, () => this.#context()),
    })
    return { request, now: dice.chance(8) ? SUMMER : NOW + dice.below(3) - 1 }
  }

  settings(): Settings {
    const dice = this.#dice
    return present<Settings>({
      attribute_precedence: dice.maybe(2, () => dice.one(['request', 'stored'])),
      levels: dice.maybe(2, () => dice.one(LEVELS)),
    })
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
    return present<Role>({
      name: dice.one(ROLES),
      inherits: dice.maybe(2, () => [...new Set(dice.some(2, () => dice.one(ROLES)))]),
      permissions: dice.maybe(2, () => dice.some(2, () => this.#permission())),
      derived: dice.maybe(3, () => ({
        from: [...new Set(dice.some(2, () => dice.one(ROLES), 1))],
        condition: this.#condition(),
      })),
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
    const dice = this.#dice
    return present<EntityType>({
      name: dice.one(['user', 'doc']),
      schema: dice.maybe(2, () => dice.one(SCHEMAS).schema),
      on_invalid: dice.maybe(2, () => dice.one(['reject', 'warn'])),
      protected_properties: dice.some(2, () => dice.one(['owner', 'level'])),
    })
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
    return this.#dice.one(MEANINGS)[0]
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
    return present<Properties>({
      owner: dice.maybe(2, () => dice.one(NAMES)),
      level: dice.maybe(2, () => dice.one([1, 2, 'x', 'admin', 'read_only'])),
      flag: dice.maybe(2, () => dice.one([true, false])),
      n: dice.maybe(2, () => dice.one([0, 1, 2, 3])),
    })
  }

  #context(): Properties {
    const dice = this.#dice
    return present<Properties>({
      ...this.#properties(),
      ip: dice.maybe(2, () => dice.one<unknown>(ADDRESSES)),
      tags: dice.maybe(2, () => (dice.chance(8) ? 'a' : dice.some(3, () => dice.one(['a', 'b', 'c', 1])))),
      since: dice.maybe(2, () => dice.one([...INSTANTS, 'x'])),
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
