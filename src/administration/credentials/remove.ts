import type { EntityRef } from '../../policy/model.ts'
import { revokeContextsOf } from '../../store/contexts.ts'
import { deletePassword, getPassword } from '../../store/passwords.ts'
import { revokeSessionsOf } from '../../store/sessions.ts'
import { deleteTotp, getTotp } from '../../store/totps.ts'
import type { Change } from '../change.ts'

/** With its entity, all by which somebody could log in as it, or stand for it, goes. */
export async function removeCredentials(change: Change, subject: EntityRef): Promise<void> {
  await removePassword(change, subject)
  await removeTotp(change, subject)
  await revokeSessionsOf(change.trx, change.tenant, subject)
  await revokeContextsOf(change.trx, change.tenant, subject)
}

/** False: there was none. */
export async function removePassword({ trx, tenant, log }: Change, { type, id }: EntityRef): Promise<boolean> {
  const found = await getPassword(trx, tenant, { type, id })
  if (found === undefined) return false
  await deletePassword(trx, tenant, { type, id })
  const before = { username: found.username }
  log({ kind: 'credential', key: { type, id, credential: 'password' }, operation: 'delete', before, after: null })
  return true
}

export async function removeTotp({ trx, tenant, log }: Change, { type, id }: EntityRef): Promise<boolean> {
  const found = await getTotp(trx, tenant, { type, id })
  if (found === undefined) return false
  await deleteTotp(trx, tenant, { type, id })
  const before = { confirmed: found.sealed !== null }
  log({ kind: 'credential', key: { type, id, credential: 'totp' }, operation: 'delete', before, after: null })
  return true
}
