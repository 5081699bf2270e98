import type { EntityRef, Rule, SubjectSelector } from '../../src/policy/model.ts'
import { counted, type World } from '../decide/mix.ts'
import { NotExpressible, type Peer } from './peer.ts'

/** What of casbin is used. */
export interface Casbin {
  newModelFromString(text: string): unknown
  newEnforcer(model: unknown): Promise<Enforcer>
  readonly StringAdapter: new (policy: string) => unknown
  readonly DefaultRoleManager: new (maxHierarchyLevel: number) => unknown
}

interface Enforcer {
  setAdapter(adapter: unknown): void
  setRoleManager(manager: unknown): void
  loadPolicy(): Promise<void>
  enforceSync(...request: readonly string[]): boolean
}

type Question = readonly [subject: string, object: string, action: string]

// Its own default is 10.
const HIERARCHY = 200

/** Rules as policies, and all that a subject is in or holds as groupings. */
export async function prepareCasbin(casbin: Casbin, mix: string, world: World): Promise<Peer<Question>> {
  const rules = [...counted(world.rules, world.rule)]
  const enforcer = await casbin.newEnforcer(casbin.newModelFromString(modelOf(rules, mix === 'casbin-rbac')))
  enforcer.setRoleManager(new casbin.DefaultRoleManager(HIERARCHY))
  enforcer.setAdapter(new casbin.StringAdapter([...rules.map(policyLine), ...groupingLines(world)].join('\n')))
  await enforcer.loadPolicy()
  return {
    ready: ({ request: { subject, action, resource } }) => [keyOf(subject), resource.id, action.name],
    ask: ([subject, object, action]) => enforcer.enforceSync(subject, object, action),
  }
}

/** As much of a matcher as these rules need; where some deny, any that does wins. */
function modelOf(rules: readonly Rule[], asDocumented: boolean): string {
  const subject = rules.every(({ subjects }) => isAnybody(subjects[0])) ? undefined : 'g(r.sub, p.sub)'
  const object = matcherOf(rules)
  const action = 'r.act == p.act'
  const parts = asDocumented ? [subject, object, action] : [action, object, subject]
  const allowed = 'some(where (p.eft == allow))'
  const effect = rules.some((rule) => rule.effect === 'deny') ? `${allowed} && !some(where (p.eft == deny))` : allowed
  return `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = ${effect}
[matchers]
m = ${parts.filter((part) => part !== undefined).join(' && ')}
`
}

function matcherOf(rules: readonly Rule[]): string | undefined {
  const ids = rules.map(placeOf)
  if (ids.every((id) => id === undefined)) return undefined
  if (ids.some((id) => id === undefined)) throw new NotExpressible('some rules for one document, some for all')
  if (!ids.some((id) => id?.includes('*'))) return 'r.obj == p.obj'
  return rules.every(isPrefix) ? 'keyMatch(r.obj, p.obj)' : 'globMatch(r.obj, p.obj)'
}

function isPrefix({ resources: [place] }: Rule): boolean {
  return place?.id !== undefined && place.id.indexOf('*') === place.id.length - '**'.length
}

function placeOf({ resources: [place, ...others] }: Rule): string | undefined {
  if (place === undefined || others.length > 0 || place.type === '*' || place.within !== undefined)
    throw new NotExpressible('resources within others, or of any type')
  return place.id
}

function policyLine(rule: Rule): string {
  const [subject] = rule.subjects
  const [action = ''] = rule.actions
  if (action.includes('*') || rule.condition !== undefined)
    throw new NotExpressible('conditions and patterns of actions')
  const place = placeOf(rule) ?? '*'
  // `keyMatch` knows one star, which stops at nothing.
  return ['p', subjectKey(subject), isPrefix(rule) ? place.slice(0, -1) : place, action, rule.effect].join(', ')
}

function* groupingLines({ roles = [], entities = [], assignments = [] }: World): Generator<string> {
  for (const { name, inherits = [] } of roles) for (const other of inherits) yield `g, role:${name}, role:${other}`
  for (const { type, id, parents = [] } of entities)
    for (const parent of parents) yield `g, ${keyOf({ type, id })}, ${keyOf(parent)}`
  for (const { subject, role, within } of assignments) {
    if (within !== undefined) throw new NotExpressible('roles that are held within a folder')
    yield `g, ${keyOf(subject)}, role:${role}`
  }
}

function subjectKey(subject: SubjectSelector | undefined): string {
  if (subject === undefined || 'any' in subject) return '*'
  return 'role' in subject ? `role:${subject.role}` : keyOf(subject)
}

function isAnybody(subject: SubjectSelector | undefined): boolean {
  return subject !== undefined && 'any' in subject
}

function keyOf({ type, id }: EntityRef): string {
  return `${type}:${id}`
}
