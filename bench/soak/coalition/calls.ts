/** A call that somebody in the coalition makes. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers: Readonly<Record<string, string>>
}

/** Numbers that come again for the same seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  of<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0]
  }

  /** Some of them, in their order; at least one. */
  some<T>(choices: readonly [T, ...T[]]): T[] {
    const taken = choices.filter(() => this.next() < 0.4)
    return taken.length === 0 ? [this.of(choices)] : taken
  }

  is(probability: number): boolean {
    return this.next() < probability
  }
}

export interface Ref {
  readonly type: string
  readonly id: string
}

/** Whom and what a call can be about: the coalition, who holds more than it, and who holds nothing. */
export interface World {
  readonly members: readonly [Ref, ...Ref[]]
  readonly holders: readonly [Ref, ...Ref[]]
  /** What calls have brought to light. */
  readonly ids: Readonly<Record<Listed, string[]>>
}

/** What has ids that answers tell, by the routes that are about it. */
export const LISTED = ['assignments', 'api-keys', 'capabilities', 'permission-requests', 'contexts'] as const
export type Listed = (typeof LISTED)[number]

const BUILT_IN = [
  ...['pdp:admin', 'pdp:operator', 'pdp:policy_admin', 'pdp:entity_writer', 'pdp:decider', 'pdp:auditor'],
  ...['pdp:grantor', 'pdp:requester', 'pdp:approver', 'pdp:context_issuer'],
  ...['pdp:acting_operator', 'pdp:root', 'PDP:admin', 'pdp:Admin', 'рdp:admin', 'pdp:admin ', 'pdp', 'admin'],
] as [string, ...string[]]
const OWN_ROLES = ['a', 'b', 'c', 'd'] as [string, ...string[]]
const TYPES = ['user', 'group', 'service', 'document', '*', 'pdp:api_key', 'pdp:caller', 'pdp:settings'] as [
  string,
  ...string[],
]
const ACTIONS = ['read', '*', 'pdp:*', 'pdp:write', 'pdp:read', '**', 'p*'] as [string, ...string[]]
const NAMES = ['r0', 'r1', 'r2', 'r3', 'admin.api_key', 'pdp:x', 'pdp'] as [string, ...string[]]
const POLICIES = ['default', 'default', 'acl', 'pdp', 'roles', 'capabilities'] as [string, ...string[]]
const CONDITIONS = [
  'true',
  "'pdp:admin' in subject.roles",
  'subject.id == resource.id',
  'subject.properties.admin',
] as [string, ...string[]]
const TENANTS = ['system', 'default', 'acme', 'nowhere'] as [string, ...string[]]

/** Any of the ways in which rights are given, with names that are refused and names that are not. */
export function randomCall(dice: Dice, world: World): Call {
  const made = dice.of(WAYS)(dice, world)
  const headers = {
    ...(dice.is(0.03) && { 'verdict-tenant': dice.of(TENANTS) }),
    ...(dice.is(0.05) && made.method !== 'GET' && { 'idempotency-key': `k${dice.below(5)}` }),
    ...made.headers,
  }
  return { ...made, headers }
}

type Way = (dice: Dice, world: World) => Omit<Call, 'headers'> & Partial<Pick<Call, 'headers'>>

const put = (path: string, body: unknown) => ({ method: 'PUT', path, body })
const post = (path: string, body: unknown) => ({ method: 'POST', path, body })
const encoded = encodeURIComponent

// Three of four name nothing that is refused in any case: what is done opens ways for the others.
const anyRole = (dice: Dice) => (dice.is(0.25) ? dice.of(BUILT_IN) : dice.of(OWN_ROLES))
const anybody = (dice: Dice, { members, holders }: World): Ref => {
  const group = { type: 'group', id: `g${dice.below(3)}` }
  return dice.of<Ref>([dice.of(members), dice.of(holders), group, { type: 'user', id: `u${dice.below(4)}` }])
}
const document = (dice: Dice): Ref => ({ type: dice.of(TYPES), id: `x${dice.below(4)}` })

const assignment = (dice: Dice, world: World) => ({
  subject: anybody(dice, world),
  role: anyRole(dice),
  ...(dice.is(0.2) && { within: anybody(dice, world) }),
  ...(dice.is(0.1) && { valid_until: '2999-01-01T00:00:00Z' }),
})

const anyType = (dice: Dice) => (dice.is(0.25) ? dice.of(TYPES) : dice.of(['document', '*']))
const permission = (dice: Dice) => ({
  actions: dice.is(0.25) ? dice.some(ACTIONS) : ['read', '*'],
  resources: [{ type: anyType(dice) }],
})

const role = (dice: Dice) => ({
  ...(dice.is(0.6) && { inherits: [anyRole(dice)] }),
  ...(dice.is(0.4) && { derived: { from: [anyRole(dice)], condition: dice.of(CONDITIONS) } }),
  ...(dice.is(0.6) && { permissions: [permission(dice)] }),
})

const rule = (dice: Dice, world: World) => ({
  ...(dice.is(0.5) && { policy: dice.of(POLICIES) }),
  effect: dice.of(['allow', 'allow', 'deny']),
  subjects: [dice.of<object>([{ any: true }, { role: anyRole(dice) }, anybody(dice, world)])],
  ...permission(dice),
})

const entity = (dice: Dice, world: World) => ({
  ...(dice.is(0.6) && { parents: [anybody(dice, world)] }),
  ...(dice.is(0.5) && { properties: { admin: true, roles: ['pdp:admin'] } }),
  ...(dice.is(0.3) && { disabled: dice.is(0.5) }),
})

const bundle = (dice: Dice, world: World) => ({
  verdict: 1,
  ...(dice.is(0.3) && { settings: { rules_in_answers: true } }),
  ...(dice.is(0.4) && { policies: [{ name: dice.of(POLICIES), combining: 'allow_overrides' }] }),
  ...(dice.is(0.5) && { roles: [{ name: anyRole(dice), ...role(dice) }] }),
  ...(dice.is(0.5) && { rules: [{ name: dice.of(NAMES), ...rule(dice, world) }] }),
  ...(dice.is(0.5) && { entities: [{ ...anybody(dice, world), ...entity(dice, world) }] }),
  ...(dice.is(0.5) && { assignments: [assignment(dice, world)] }),
})

const at = ({ ids }: World, listed: Listed, dice: Dice) => ids[listed][dice.below(ids[listed].length)] ?? 'none'

const given = (dice: Dice, world: World) => ({
  ...permission(dice),
  ...(dice.is(0.3) && { condition: dice.of(CONDITIONS) }),
  ...(dice.is(0.3) && { resources: [{ type: anyType(dice), within: anybody(dice, world) }] }),
})

const capability = (dice: Dice, world: World) => ({
  ...given(dice, world),
  subject: anybody(dice, world),
  expires_at: '2999-01-01T00:00:00Z',
  delegable: dice.is(0.5),
  ...(dice.is(0.5) && { from: at(world, 'capabilities', dice) }),
})

const request = (dice: Dice, world: World) => ({
  ...given(dice, world),
  ...(dice.is(0.6) && { subject: anybody(dice, world) }),
  duration_seconds: 3600,
  justification: 'because',
})

const quota = (dice: Dice, world: World) => ({
  ...permission(dice),
  subjects: [dice.of<object>([{ any: true }, { role: anyRole(dice) }, anybody(dice, world)])],
  per: 'tenant',
  limit: 1,
  window_seconds: 60,
})

const WAYS = [
  (dice, world) => post('/v1/assignments', assignment(dice, world)),
  (dice, world) => post('/v1/assignments', assignment(dice, world)),
  (dice, world) => ({ method: 'DELETE', path: `/v1/assignments/${at(world, 'assignments', dice)}` }),
  (dice) => put(`/v1/roles/${encoded(anyRole(dice))}`, role(dice)),
  (dice) => post('/v1/roles', { name: anyRole(dice), ...role(dice) }),
  (dice) => ({ method: 'DELETE', path: `/v1/roles/${encoded(anyRole(dice))}` }),
  (dice, world) => put(`/v1/rules/${encoded(dice.of(NAMES))}`, rule(dice, world)),
  (dice, world) => post('/v1/rules', { name: dice.of(NAMES), ...rule(dice, world) }),
  (dice) => put(`/v1/policies/${dice.of(POLICIES)}`, { combining: 'allow_overrides', required: dice.is(0.5) }),
  (dice) => put(`/v1/types/${encoded(anyType(dice))}`, { actions: dice.some(ACTIONS) }),
  (dice, world) => {
    const { type, id } = anybody(dice, world)
    return put(`/v1/entities/${type}/${id}`, entity(dice, world))
  },
  (dice, world) => {
    const { type, id } = anybody(dice, world)
    return put(`/v1/entity?type=${type}&id=${id}`, entity(dice, world))
  },
  (dice, world) => {
    const { type, id } = dice.is(0.8) ? anybody(dice, world) : document(dice)
    return { method: 'DELETE', path: `/v1/entities/${encoded(type)}/${id}` }
  },
  (dice, world) => {
    const lines = [0, 1, 2].map(() => JSON.stringify({ ...anybody(dice, world), ...entity(dice, world) }))
    return { ...post('/v1/entities/bulk', lines.join('\n')), headers: { 'content-type': 'application/x-ndjson' } }
  },
  (dice, world) => put(`/v1/bundle${dice.is(0.3) ? '?dry_run=true' : ''}`, bundle(dice, world)),
  (dice, world) => {
    const roles = dice.is(0.5) && { roles: [anyRole(dice)] }
    return post('/v1/api-keys', { name: 'k', subject: anybody(dice, world), ...roles })
  },
  (dice, world) => ({ method: 'DELETE', path: `/v1/api-keys/${at(world, 'api-keys', dice)}` }),
  (dice, world) => post(`/v1/api-keys/${at(world, 'api-keys', dice)}/rotate`, {}),
  (dice, world) => post('/v1/capabilities', capability(dice, world)),
  (dice, world) => post('/v1/capabilities', capability(dice, world)),
  (dice, world) => ({ method: 'DELETE', path: `/v1/capabilities/${at(world, 'capabilities', dice)}` }),
  (dice, world) => post('/v1/permission-requests', request(dice, world)),
  (dice, world) => {
    const how = dice.of(['approve', 'approve', 'refuse', 'withdraw'])
    const body = how === 'refuse' ? { reason: 'no' } : {}
    return post(`/v1/permission-requests/${at(world, 'permission-requests', dice)}/${how}`, body)
  },
  (dice, world) => post('/v1/contexts', { subject: anybody(dice, world), capabilities: [given(dice, world)] }),
  (dice, world) => ({ method: 'DELETE', path: `/v1/contexts/${at(world, 'contexts', dice)}` }),
  (dice, world) => put(`/v1/quotas/${encoded(dice.of(NAMES))}`, quota(dice, world)),
  (dice) => put('/v1/settings', { rules_in_answers: dice.is(0.5) }),
  (dice) => post('/v1/tenants', { id: dice.of(TENANTS), name: 'x' }),
  (dice) => ({ method: 'PATCH', path: `/v1/tenants/${dice.of(TENANTS)}`, body: { status: 'suspended' } }),
  (dice) => ({ method: 'DELETE', path: `/v1/tenants/${dice.of(TENANTS)}` }),
  () => ({ method: 'GET', path: '/v1/assignments?limit=1000' }),
  () => ({ method: 'GET', path: '/v1/changes' }),
  (dice) => {
    const allowed_roles = [anyRole(dice)]
    return put('/v1/issuers/mine', { issuer: 'https://idp.test', audience: 'x', algorithms: ['RS256'], allowed_roles })
  },
  (dice, world) => {
    const { type, id } = anybody(dice, world)
    return put(`/v1/credentials/${type}/${id}/password`, {
      username: `n${dice.below(4)}`,
      password: 'correct horse battery staple',
    })
  },
  (dice, world) => {
    const { type, id } = anybody(dice, world)
    return { method: 'GET', path: `/v1/credentials/${type}/${id}${dice.is(0.5) ? '/sessions' : ''}` }
  },
  (dice, world) => {
    const { type, id } = anybody(dice, world)
    return { method: 'DELETE', path: `/v1/credentials/${type}/${id}/${dice.of(['sessions', 'totp', 'password'])}` }
  },
] satisfies readonly Way[] as unknown as readonly [Way, ...Way[]]
