import type { AccessRequest, Bundle, EntityRef, Properties, ResourceSelector, Rule } from '../../src/policy/model.ts'
import type { Dice } from './dice.ts'
import {
  ACTIONS,
  INSTANTS,
  NOW,
  present,
  properties,
  RESOURCE_TYPES,
  resource,
  SUBJECT_TYPES,
  subject,
} from './universe.ts'

export interface Asked {
  readonly request: AccessRequest
  readonly now: number
}

type About = Pick<Rule, 'subjects' | 'actions' | 'resources'>

// In summer, when a zone's clocks are put forward.
const SUMMER = Date.parse('2030-07-02T22:30:00Z')
const ADDRESSES: readonly [unknown, ...unknown[]] = [
  '10.1.2.3',
  '192.168.0.1',
  '::ffff:10.0.0.1',
  '2001:db8::1',
  'x',
  5,
]

/** A question to a policy: mostly aimed at one of its rules, so that it is not mostly about nothing. */
export function ask(dice: Dice, bundle: Bundle): Asked {
  const rules = [...(bundle.rules ?? []), ...permissions(bundle)]
  const rule = dice.chance(4) ? undefined : rules[dice.below(rules.length + 1)]
  const request = present<AccessRequest>({
    subject: { ...subjectFor(dice, bundle, rule), ...asking(dice) },
    action: { name: actionFor(dice, rule), ...asking(dice) },
    resource: { ...resourceFor(dice, bundle, rule), ...asking(dice) },
    context: dice.maybe(2, () => context(dice)),
  })
  return { request, now: dice.chance(8) ? SUMMER : NOW + dice.below(3) - 1 }
}

function permissions({ roles = [] }: Bundle): About[] {
  return roles.flatMap(({ name, permissions: given = [] }) =>
    given.map((one) => ({ ...one, subjects: [{ role: name }] })),
  )
}

function subjectFor(dice: Dice, bundle: Bundle, rule: About | undefined): EntityRef {
  const selector = rule?.subjects[dice.below(rule.subjects.length)]
  if (selector === undefined || 'any' in selector) return stored(dice, bundle, SUBJECT_TYPES) ?? subject(dice)
  if (!('role' in selector)) return below(dice, bundle, selector)
  const given = bundle.assignments?.filter(({ role }) => role === selector.role) ?? []
  const holder = given[dice.below(given.length)] ?? bundle.assignments?.[0]
  return holder === undefined ? subject(dice) : below(dice, bundle, holder.subject)
}

function actionFor(dice: Dice, rule: About | undefined): string {
  const pattern = rule?.actions[dice.below(rule.actions.length)]
  if (pattern === undefined || dice.chance(4)) return dice.one(ACTIONS)
  return pattern.replaceAll('*', dice.one(['', 'it'])) || 'x'
}

function resourceFor(dice: Dice, bundle: Bundle, rule: About | undefined): EntityRef {
  const place = rule?.resources[dice.below(rule.resources.length)]
  if (place === undefined) return stored(dice, bundle, RESOURCE_TYPES) ?? resource(dice)
  if (place.within !== undefined && dice.chance(2)) return below(dice, bundle, place.within)
  const type = place.type === '*' ? dice.one(RESOURCE_TYPES) : place.type
  return { type, id: idFor(dice, place) }
}

/** One that the pattern matches, more often than not. */
function idFor(dice: Dice, { id }: ResourceSelector): string {
  if (id === undefined || dice.chance(4)) return resource(dice).id
  const filled = id.replace(/\\(.)|\*\*|\*|\?/g, (wild, escaped?: string) => {
    if (escaped !== undefined) return escaped
    return wild === '**' ? dice.one(['', 'a', 'b/a', 'a/']) : wild === '*' ? dice.one(['', 'b', 'ab']) : 'b'
  })
  return filled === '' ? 'a' : filled
}

/** An entity, or one that is stored in it. */
function below(dice: Dice, { entities = [] }: Bundle, ref: EntityRef): EntityRef {
  const within = entities.filter(({ parents = [] }) =>
    parents.some(({ type, id }) => type === ref.type && id === ref.id),
  )
  const { type, id } = within[dice.below(within.length + 1)] ?? ref
  return { type, id }
}

function stored(dice: Dice, { entities = [] }: Bundle, types: readonly string[]): EntityRef | undefined {
  const known = entities.filter(({ type }) => types.includes(type))
  const found = known[dice.below(known.length + 1)]
  return found && { type: found.type, id: found.id }
}

function context(dice: Dice): Properties {
  return present<Properties>({
    ...properties(dice),
    ip: dice.maybe(2, () => dice.one(ADDRESSES)),
    tags: dice.maybe(2, () => (dice.chance(8) ? 'a' : dice.some(3, () => dice.one(['a', 'b', 'c', 1])))),
    since: dice.maybe(2, () => dice.one([...INSTANTS, 'x'])),
  })
}

function asking(dice: Dice): { properties?: Properties } {
  return dice.chance(2) ? { properties: properties(dice) } : {}
}
