import type { Ref } from './calls.ts'
import type { Member, Send } from './play.ts'

export interface Coalition {
  readonly members: readonly [Member, ...Member[]]
  /** An admin, who is asked what became of it. */
  readonly oracle: Member
  /** Who holds what the coalition is after. */
  readonly holders: readonly [Ref, ...Ref[]]
}

const ROLES = [
  ...['pdp:policy_admin', 'pdp:entity_writer', 'pdp:decider', 'pdp:auditor'],
  ...['pdp:grantor', 'pdp:requester', 'pdp:approver', 'pdp:context_issuer'],
] as const

/** Everybody with a role by a key, everybody once more by an assignment, and one with nothing. */
export async function assemble(send: Send, adminKey: string): Promise<Coalition> {
  const made = async (path: string, body: unknown, method = 'POST') => {
    const reply = await send({ method, path, body, headers: {} }, adminKey)
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(reply.body)}`)
    return reply.body
  }
  const member = async (subject: Ref, roles: readonly string[], by: 'key' | 'assignment'): Promise<Member> => {
    const keyed = by === 'key' && roles.length > 0 ? { roles } : {}
    const body = await made('/v1/api-keys', { name: subject.id, subject, ...keyed })
    const key = typeof body === 'object' && body !== null && 'key' in body ? String(body.key) : ''
    if (by === 'assignment') for (const role of roles) await made('/v1/assignments', { subject, role })
    return { subject, key, roles }
  }
  const plain = await member({ type: 'service', id: 'plain' }, [], 'key')
  const others: Member[] = []
  for (const role of ROLES)
    for (const by of ['key', 'assignment'] as const)
      others.push(await member({ type: 'user', id: `${role.slice(4)}-by-${by}` }, [role], by))
  const ada = { type: 'user', id: 'ada' }
  await made('/v1/assignments', { subject: ada, role: 'pdp:admin' })
  await made('/v1/entities/user/ada', { parents: [{ type: 'group', id: 'g0' }] }, 'PUT')
  const oracle = { subject: { type: 'service', id: 'admin' }, key: adminKey, roles: ['pdp:admin'] }
  return { members: [plain, ...others], oracle, holders: [ada, oracle.subject] }
}
