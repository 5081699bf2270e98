import type { GivenAssignment } from './change.ts'
import { type EntityFacts, type Facts, NO_PROPERTIES } from './entity-graph.ts'
import type { AccessRequest, EntityRef } from './model.ts'
import { PolicyIndex } from './policy-index.ts'

/**
 * The policy `pdp`: who may administer Verdict itself. It is immutable, and alone decides about `pdp:` types and
 * actions: nothing that a tenant writes is ever consulted for them.
 */
export const BUILT_IN_ROLES = [
  'pdp:decider',
  'pdp:policy_admin',
  'pdp:entity_writer',
  'pdp:auditor',
  'pdp:grantor',
  'pdp:requester',
  'pdp:approver',
  'pdp:context_issuer',
  'pdp:admin',
  'pdp:operator',
] as const
export type BuiltInRole = (typeof BUILT_IN_ROLES)[number]

/** What an operator holds in a tenant that it acts in by `Verdict-Tenant`. Nobody can be given it. */
export const ACTING_OPERATOR = 'pdp:acting_operator'

export type PdpAction = 'pdp:decide' | 'pdp:explain' | 'pdp:refund' | 'pdp:read' | 'pdp:write' | 'pdp:approve'

export type PdpType =
  | 'pdp:decision'
  | 'pdp:tenant'
  | 'pdp:settings'
  | 'pdp:type'
  | 'pdp:policy'
  | 'pdp:role'
  | 'pdp:rule'
  | 'pdp:quota'
  | 'pdp:entity'
  | 'pdp:assignment'
  | 'pdp:capability'
  | 'pdp:permission_request'
  | 'pdp:bundle'
  | 'pdp:change'
  | 'pdp:api_key'
  | 'pdp:issuer'
  | 'pdp:credential'
  | 'pdp:audit'
  | 'pdp:context'
  | 'pdp:caller'

/** What a route asks of its caller. */
export interface PdpPermission {
  readonly type: PdpType
  readonly action: PdpAction
}

type Grants = Readonly<Partial<Record<PdpType, readonly PdpAction[]>>>

const READ = ['pdp:read'] as const
const READ_WRITE = ['pdp:read', 'pdp:write'] as const

const decider: Grants = { 'pdp:decision': ['pdp:decide'], 'pdp:quota': ['pdp:refund'] }
const entityWriter: Grants = { 'pdp:entity': READ_WRITE }
const auditor: Grants = { 'pdp:audit': READ, 'pdp:change': READ, 'pdp:decision': ['pdp:explain'] }
// What of these each may reach beyond its own is the administration's to say.
const grantor: Grants = { 'pdp:capability': READ_WRITE }
const requester: Grants = { 'pdp:permission_request': READ_WRITE }
const approver: Grants = { 'pdp:permission_request': ['pdp:read', 'pdp:approve'] }
/** Apart from those who ask: whoever takes a context for proof of whom it names takes its issuer's word. */
const contextIssuer: Grants = { 'pdp:context': READ_WRITE }
const policyAdmin: Grants = {
  'pdp:type': READ_WRITE,
  'pdp:policy': READ_WRITE,
  'pdp:role': READ_WRITE,
  'pdp:rule': READ_WRITE,
  'pdp:quota': READ_WRITE,
  'pdp:entity': READ_WRITE,
  'pdp:assignment': READ_WRITE,
  'pdp:capability': READ_WRITE,
  'pdp:permission_request': ['pdp:read', 'pdp:write', 'pdp:approve'],
  'pdp:bundle': READ_WRITE,
  'pdp:change': READ,
  'pdp:decision': ['pdp:explain'],
}
const admin: Grants = {
  ...policyAdmin,
  ...auditor,
  'pdp:decision': ['pdp:decide', 'pdp:explain'],
  'pdp:quota': [...READ_WRITE, 'pdp:refund'],
  'pdp:settings': READ_WRITE,
  'pdp:api_key': READ_WRITE,
  'pdp:issuer': READ_WRITE,
  'pdp:credential': READ_WRITE,
  'pdp:context': READ_WRITE,
}
const operator: Grants = { 'pdp:tenant': READ_WRITE }
const actingOperator: Grants = {
  'pdp:api_key': READ_WRITE,
  'pdp:settings': READ_WRITE,
  'pdp:assignment': READ_WRITE,
}

const GRANTS = {
  'pdp:decider': decider,
  'pdp:policy_admin': policyAdmin,
  'pdp:entity_writer': entityWriter,
  'pdp:auditor': auditor,
  'pdp:grantor': grantor,
  'pdp:requester': requester,
  'pdp:approver': approver,
  'pdp:context_issuer': contextIssuer,
  'pdp:admin': admin,
  'pdp:operator': operator,
  [ACTING_OPERATOR]: actingOperator,
} satisfies Record<BuiltInRole | typeof ACTING_OPERATOR, Grants>

/** Whether any of these built-in roles may read entities, and so sees their properties in the clear anyway. */
export function mayReadEntities(roles: readonly string[]): boolean {
  const grants: ReadonlyMap<string, Grants> = new Map(Object.entries(GRANTS))
  return roles.some((role) => grants.get(role)?.['pdp:entity']?.includes('pdp:read') === true)
}

/** Whether a type, an action or a role is Verdict's own. */
export function isBuiltIn(name: string): boolean {
  return name.startsWith('pdp:')
}

export function isBuiltInRole(name: string): name is BuiltInRole {
  return (BUILT_IN_ROLES as readonly string[]).includes(name)
}

/**
 * A role's name as the policy `pdp` knows it: without the prefix, since `decide` takes no role that begins with
 * `pdp:` into account (a built-in role is never in `subject.roles`).
 */
export function localRole(role: string): string {
  return role.slice('pdp:'.length)
}

/** The policy `pdp`, compiled: one rule for each role, type and set of actions, named `pdp/<role>.<type>`. */
export function builtInPolicy(): PolicyIndex {
  const index = new PolicyIndex()
  const policy = { name: 'pdp', combining: 'deny_overrides', required: false } as const
  index.apply({ kind: 'policy', key: { name: 'pdp' }, operation: 'create', before: null, after: policy })
  for (const [role, grants] of Object.entries(GRANTS)) {
    index.apply({
      kind: 'role',
      key: { name: localRole(role) },
      operation: 'create',
      before: null,
      after: { name: localRole(role) },
    })
    for (const [type, actions] of Object.entries(grants)) {
      const name = `${localRole(role)}.${localRole(type)}`
      index.apply({
        kind: 'rule',
        key: { name },
        operation: 'create',
        before: null,
        after: {
          name,
          policy: 'pdp',
          effect: 'allow',
          subjects: [{ role: localRole(role) }],
          actions: [...actions],
          resources: [{ type }],
        },
      })
    }
  }
  return index
}

/** Verdict's own types and actions are decided by the policy `pdp` alone. */
export function isAboutVerdict({ resource, action }: AccessRequest): boolean {
  return isBuiltIn(resource.type) || isBuiltIn(action.name)
}

/** The facts with these built-in roles, as the policy `pdp` sees them. */
export function holdingBuiltIn({ subject, resource }: Facts, roles: readonly string[]): Facts {
  const { type, id, known, properties, disabled, ancestors } = subject
  const given = [roles.map((role) => held(subject, role))]
  // Written out, as each call makes one: over a spread object it takes 3 µs.
  const holder = {
    type,
    id,
    known,
    properties,
    disabled,
    ancestors,
    given,
    asSubject: undefined,
    asResource: undefined,
  }
  return { subject: holder, resource }
}

/** Facts of an entity of which nothing is known but its name. */
export function bareEntity({ type, id }: EntityRef): EntityFacts {
  return {
    type,
    id,
    known: false,
    properties: NO_PROPERTIES,
    disabled: false,
    ancestors: [],
    given: [],
    asSubject: undefined,
    asResource: undefined,
  }
}

/** A built-in role as the policy `pdp` sees it held: by the caller, for this call. */
function held({ type, id }: EntityRef, role: string): GivenAssignment {
  return { id: role, subject: { type, id }, role: localRole(role), granted_by: { type: 'pdp', id: 'pdp' } }
}
