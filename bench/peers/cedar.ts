import type { Lookup } from '../../src/policy/entity-graph.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { EntityRef, ResourceSelector, Rule, SubjectSelector } from '../../src/policy/model.ts'
import { type Asked, counted, type World } from '../decide/mix.ts'
import { NotExpressible, type Peer } from './peer.ts'

/** What of cedar-wasm is used. */
export interface Cedar {
  preparsePolicySet(name: string, policies: { readonly staticPolicies: string }): { readonly type: string }
  statefulIsAuthorized(call: Call): {
    readonly type: string
    readonly response?: { readonly decision: string; readonly diagnostics: { readonly errors: readonly unknown[] } }
  }
}

interface Call {
  readonly principal: EntityRef
  readonly action: EntityRef
  readonly resource: EntityRef
  readonly context: Readonly<Record<string, unknown>>
  readonly preparsedPolicySetId: string
  readonly entities: readonly Entity[]
}

interface Entity {
  readonly uid: EntityRef
  readonly attrs: Readonly<Record<string, unknown>>
  readonly parents: readonly EntityRef[]
}

const SET = 'rules'

/** Rules as policies, parsed beforehand; what a question needs of entities goes with it. */
export function prepareCedar(cedar: Cedar, world: World): Peer<Call> {
  const inherits = new Map([...(world.roles ?? [])].map(({ name, inherits: above = [] }) => [name, above]))
  const { lookup } = loadBundle({
    verdict: 1,
    entities: [...(world.entities ?? [])],
    assignments: [...(world.assignments ?? [])],
  })
  const policies = [...counted(world.rules, (at) => policyText(world.rule(at)))].join('\n')
  const parsed = cedar.preparsePolicySet(SET, { staticPolicies: policies })
  if (parsed.type !== 'success') throw new Error(`Cedar does not take the policies: ${JSON.stringify(parsed)}`)
  return {
    ready: (asked) => callOf(asked, lookup, inherits),
    ask(call) {
      const answer = cedar.statefulIsAuthorized(call)
      const { response } = answer
      if (response === undefined || response.diagnostics.errors.length > 0)
        throw new Error(`Cedar could not answer: ${JSON.stringify(answer)}`)
      return response.decision === 'allow'
    },
  }
}

function policyText({ effect, subjects: [subject], actions: [action], resources: [place], condition }: Rule): string {
  if (subject === undefined || action === undefined || place === undefined)
    throw new NotExpressible('a rule of nothing')
  const { scope, when } = placeText(place)
  const conditions = [when, condition == null ? undefined : conditionText(condition)].filter((one) => one !== undefined)
  const clause = conditions.length > 0 ? ` when { ${conditions.join(' && ')} }` : ''
  // A pattern of actions is a group that they are in.
  const actions = `action ${action.includes('*') ? 'in' : '=='} ${uid({ type: 'Action', id: action })}`
  return `${effect === 'allow' ? 'permit' : 'forbid'} (${subjectText(subject)}, ${actions}, ${scope})${clause};`
}

function subjectText(subject: SubjectSelector): string {
  if ('any' in subject) return 'principal'
  if ('role' in subject) return `principal in ${uid({ type: 'role', id: subject.role })}`
  return `principal ${subject.type === 'user' ? '==' : 'in'} ${uid(subject)}`
}

function placeText({ type, id, within }: ResourceSelector): { readonly scope: string; readonly when?: string } {
  if (within !== undefined) return { scope: `resource in ${uid(within)}` }
  if (type === '*') return { scope: 'resource' }
  if (id === undefined) return { scope: `resource is ${type}` }
  if (!id.includes('*')) return { scope: `resource == ${uid({ type, id })}` }
  if (id.replaceAll('**', '').includes('*')) throw new NotExpressible('a star that stops at a slash')
  return { scope: `resource is ${type}`, when: `resource.id like ${JSON.stringify(id.replaceAll('**', '*'))}` }
}

function conditionText(condition: string): string {
  if (condition !== 'resource.properties.owner == subject.id') throw new NotExpressible(condition)
  return 'resource has owner && resource.owner == principal.id'
}

/** No more than the question needs: the subject, all that it is in and holds; the resource; the action. */
function callOf({ request }: Asked, lookup: Lookup, inherits: ReadonlyMap<string, readonly string[]>): Call {
  const facts = factsFor(lookup, request)
  const principal = refOf(request.subject)
  const resource = refOf(request.resource)
  const action = { type: 'Action', id: request.action.name }
  const above = [...facts.subject.ancestors, ...facts.resource.ancestors].map((ref) => entityOf(ref, lookup))
  const roles = new Set(facts.subject.given.flat().map(({ role }) => role))
  for (const role of roles) for (const other of inherits.get(role) ?? []) roles.add(other)
  return {
    principal,
    action,
    resource,
    context: request.context ?? {},
    preparsedPolicySetId: SET,
    entities: [
      { ...entityOf(principal, lookup), attrs: { id: principal.id } },
      { ...entityOf(resource, lookup), attrs: { id: resource.id, ...request.resource.properties } },
      { uid: action, attrs: {}, parents: groupsOf(action.id) },
      ...above,
      ...[...roles].map((role) => roleOf(role, inherits)),
    ],
  }
}

/** What stands for patterns of actions. */
function groupsOf(action: string): EntityRef[] {
  const end = action.indexOf(':')
  return end < 0 ? [] : [{ type: 'Action', id: `${action.slice(0, end)}:*` }]
}

function entityOf(ref: EntityRef, lookup: Lookup): Entity {
  const node = lookup(ref.type, ref.id)
  const held = node?.assignments ?? []
  if (held.some(({ within }) => within !== undefined)) throw new NotExpressible('roles that are held within a folder')
  const roles = held.map(({ role }) => ({ type: 'role', id: role }))
  return { uid: refOf(ref), attrs: {}, parents: [...(node?.parents ?? []), ...roles] }
}

function roleOf(name: string, inherits: ReadonlyMap<string, readonly string[]>): Entity {
  const parents = (inherits.get(name) ?? []).map((id) => ({ type: 'role', id }))
  return { uid: { type: 'role', id: name }, attrs: {}, parents }
}

function refOf({ type, id }: EntityRef): EntityRef {
  return { type, id }
}

function uid({ type, id }: EntityRef): string {
  return `${type}::${JSON.stringify(id)}`
}
