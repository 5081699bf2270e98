import type {
  Assignment,
  Bundle,
  Entity,
  EntityRef,
  EntityType,
  Obligation,
  Permission,
  Policy,
  ResourceSelector,
  Role,
  Rule,
  Settings,
  SubjectSelector,
} from '../../src/policy/model.ts'
import type { Dice } from './dice.ts'
import { MEANINGS, SCHEMAS } from './random-meanings.ts'
import { INSTANTS, NAMES, present, properties, RESOURCE_IDS, RESOURCE_TYPES, resource, subject } from './universe.ts'

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
const ACTION_PATTERNS = ['read', 'edit', 'edit:*', '*', '*d*', 'e*l', '*:all', 'x', 're*'] as const
const ROLES = ['r1', 'r2', 'r3', 'r4', 'r5'] as const
const POLICIES = ['default', 'roles', 'acl', 'capabilities', 'a-b', 'a'] as const
const RULE_NAMES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9'] as const
const LEVELS: readonly [string[], ...string[][]] = [
  ['read_only', 'read_write', 'admin'],
  ['admin', 'read_write', 'read_only'],
  ['x', 'admin'],
]
/** Random policies over a universe so small that everything collides. */
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
      entities: uniqueEntities(dice.some(6, () => this.entity())),
      assignments: dice.some(4, () => this.assignment()),
    })
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
    const dice = this.#dice
    return present<EntityType>({
      name: dice.one(['user', 'doc']),
      schema: dice.maybe(2, () => dice.one(SCHEMAS).schema),
      on_invalid: dice.maybe(2, () => dice.one(['reject', 'warn'])),
      protected_properties: [...new Set(dice.some(2, () => dice.one(['owner', 'level'])))],
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
    return dice.chance(2) ? { role: dice.one(ROLES) } : subject(dice)
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
    return present<Obligation>({ id: dice.one(NAMES), type: 'tell', properties })
  }

  entity(): Entity {
    const dice = this.#dice
    const isSubject = dice.chance(2)
    const object = () => (dice.chance(2) ? resource(dice) : this.#container())
    const ref = isSubject ? subject(dice) : object()
    return present<Entity>({
      ...ref,
      properties: dice.maybe(2, () => properties(dice)),
      // Cycles too: what is stored may hold one.
      parents: dice.maybe(2, () => dice.some(2, () => (isSubject ? subject(dice) : this.#container()), 1)),
      disabled: dice.maybe(12, () => true),
    })
  }

  assignment(): Assignment {
    const dice = this.#dice
    return present<Assignment>({
      subject: subject(dice),
      role: dice.chance(10) ? 'pdp:admin' : dice.one(ROLES),
      within: dice.maybe(3, () => this.#container()),
      valid_from: dice.maybe(8, () => dice.one(INSTANTS)),
      valid_until: dice.maybe(8, () => dice.one(INSTANTS)),
    })
  }

  #container(): EntityRef {
    const dice = this.#dice
    return dice.chance(4) ? resource(dice) : { type: 'folder', id: dice.one(NAMES) }
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
