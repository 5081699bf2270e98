import { passwordProblems, usernameKey } from '../../authn/password/rules.ts'
import { Failure } from '../../failure.ts'
import type { EntityRef } from '../../policy/model.ts'
import { checkRef } from '../../policy/parse.ts'
import { getPassword, ownerOfUsername, putPassword as store } from '../../store/passwords.ts'
import { revokeSessionsOf } from '../../store/sessions.ts'
import { declaredTypes } from '../../store/types.ts'
import { isOneself } from '../authority.ts'
import type { Change, Changer, Outcome } from '../change.ts'
import { checkPrecondition } from '../precondition.ts'
import { neverStored } from '../references.ts'
import { notFound, refuse, shownRef } from '../refusal.ts'
import type { Stamps } from '../representation.ts'
import type { Answer, Write } from '../write.ts'
import { type Proof, type ProofParts, prove } from './proof.ts'
import { removePassword } from './remove.ts'

export interface NewPassword {
  readonly password: string
  readonly username?: string | undefined
  readonly current_password?: string | undefined
}

export type ShownPassword = Stamps & { readonly subject: EntityRef; readonly username: string }

interface Prepared {
  readonly username: string
  readonly hash: string
  /** What was proved to be the present one; undefined: an admin need not know it. */
  readonly proved: string | undefined
}

/** Hashing takes its time: it is done before the tenant's row is held. */
export async function putPassword(
  parts: ProofParts,
  change: Changer,
  write: Write,
  subject: EntityRef,
  asked: NewPassword,
): Promise<Answer<ShownPassword>> {
  const { tenant } = write
  const present = await getPassword(parts.db.of(tenant), tenant, subject)
  const username = asked.username ?? present?.username ?? subject.id
  const isOwn = isOneself(write, subject)
  refuse([
    ...checkRef('', subject),
    ...(await passwordProblems(asked.password, [username, subject.id, tenant])),
    ...(isOwn && username !== present?.username ? [{ pointer: '/username', detail: "is an admin's to change" }] : []),
  ])
  const proof = { current_password: asked.current_password }
  const proved = isOwn ? await prove(parts, tenant, subject, proof) : undefined
  const prepared = { username, hash: await parts.hasher.hash(asked.password), proved }
  return change(write, (at) => put(at, subject, prepared))
}

async function put(change: Change, subject: EntityRef, prepared: Prepared): Promise<Outcome<ShownPassword>> {
  const { trx, tenant, revision: version, at, write } = change
  const { type, id } = subject
  const { username, hash, proved } = prepared
  const before = await getPassword(trx, tenant, subject)
  checkPrecondition(write.if_match, before?.version)
  if (proved !== undefined && before?.hash !== proved)
    throw new Failure('conflict', 'the password was changed meanwhile')
  refuse(neverStored(await declaredTypes(trx, tenant, [type]), '/type', type))
  await refuseTaken(change, subject, username)
  await store(trx, change, subject, { username, username_key: usernameKey(username), hash })
  await revokeSessionsOf(trx, tenant, subject, isOneself(write, subject) ? (write.caller.session_id ?? null) : null)
  change.log({
    kind: 'credential',
    key: { type, id, credential: 'password' },
    operation: before === undefined ? 'create' : 'update',
    before: before === undefined ? null : { username: before.username },
    after: { username },
  })
  const created_at = (before?.created_at ?? at).toISOString()
  const body = { subject: { type, id }, username, version, created_at, updated_at: at.toISOString() }
  return { status: before === undefined ? 201 : 200, body, version, id: shownRef(subject) }
}

async function refuseTaken({ trx, tenant }: Change, subject: EntityRef, username: string): Promise<void> {
  const owner = await ownerOfUsername(trx, tenant, usernameKey(username))
  if (owner === undefined || (owner.type === subject.type && owner.id === subject.id)) return
  const detail = `is the username of ${shownRef(owner)}`
  throw new Failure('conflict', `the username ${detail}`, { problems: [{ pointer: '/username', detail }] })
}

export async function deletePassword(
  parts: ProofParts,
  change: Changer,
  write: Write,
  subject: EntityRef,
  { current_password }: Proof,
): Promise<Answer<null>> {
  const proved = isOneself(write, subject) ? await prove(parts, write.tenant, subject, { current_password }) : undefined
  return change(write, async (at) => {
    const before = await getPassword(at.trx, at.tenant, subject)
    if (before === undefined) throw notFound(`password of ${shownRef(subject)}`)
    checkPrecondition(write.if_match, before.version)
    if (proved !== undefined && before.hash !== proved)
      throw new Failure('conflict', 'the password was changed meanwhile')
    await removePassword(at, subject)
    await revokeSessionsOf(at.trx, at.tenant, subject)
    return { status: 204, body: null, version: null, id: shownRef(subject) }
  })
}
