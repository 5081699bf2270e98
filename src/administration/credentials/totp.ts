import { seal, unseal } from '../../authn/seal.ts'
import { totpLabel } from '../../authn/second-factor.ts'
import { newRecoveryCodes, newTotpSecret, recoveryHash, stepOf, totpForDisplay } from '../../authn/totp.ts'
import { Failure } from '../../failure.ts'
import type { EntityRef } from '../../policy/model.ts'
import { checkRef } from '../../policy/parse.ts'
import { getPassword } from '../../store/passwords.ts'
import { confirmTotp, getTotp, putPendingTotp } from '../../store/totps.ts'
import { declaredTypes } from '../../store/types.ts'
import { isOneself } from '../authority.ts'
import type { Change, Changer, Outcome } from '../change.ts'
import { checkPrecondition } from '../precondition.ts'
import { neverStored } from '../references.ts'
import { notFound, refuse, shownRef } from '../refusal.ts'
import type { Answer, Write } from '../write.ts'
import { type Proof, type ProofParts, prove } from './proof.ts'
import { removeTotp } from './remove.ts'

export interface ShownTotp {
  readonly confirmed: boolean
  /** These two in the answer to enrolling only. */
  readonly secret?: string
  readonly otpauth_uri?: string
  /** In the answer to the confirmation only. */
  readonly recovery_codes?: readonly string[]
}

/** Without a code: a new secret. With one: the secret that was given out last is confirmed. */
export async function putTotp(
  parts: ProofParts,
  change: Changer,
  write: Write,
  subject: EntityRef,
  { code, current_password }: Proof,
): Promise<Answer<ShownTotp>> {
  refuse(checkRef('', subject))
  if (code !== undefined) return change(write, (at) => confirm(parts, at, subject, code))
  if (isOneself(write, subject)) await prove(parts, write.tenant, subject, { current_password })
  return change(write, (at) => enrol(parts, at, subject))
}

async function enrol({ masterKey }: ProofParts, change: Change, subject: EntityRef): Promise<Outcome<ShownTotp>> {
  const { trx, tenant, write } = change
  const { type, id } = subject
  checkPrecondition(write.if_match, null)
  refuse(neverStored(await declaredTypes(trx, tenant, [type]), '/type', type))
  const password = await getPassword(trx, tenant, subject)
  if (password === undefined)
    throw new Failure('conflict', 'there is no password that it would be the second factor of')
  const before = await getTotp(trx, tenant, subject)
  const secret = newTotpSecret()
  await putPendingTotp(trx, change, subject, seal(masterKey, totpLabel(tenant, subject), secret))
  const confirmed = before?.sealed != null
  change.log({
    kind: 'credential',
    key: { type, id, credential: 'totp' },
    operation: before === undefined ? 'create' : 'update',
    before: before === undefined ? null : { confirmed },
    after: { confirmed },
  })
  const shown = totpForDisplay(secret, `${password.username}@${tenant}`, 'Verdict')
  return { status: 200, body: { confirmed: false }, version: null, id: shownRef(subject), secret: shown }
}

async function confirm(
  { masterKey }: ProofParts,
  change: Change,
  subject: EntityRef,
  code: string,
): Promise<Outcome<ShownTotp>> {
  const { trx, tenant, at } = change
  const { type, id } = subject
  const before = await getTotp(trx, tenant, subject)
  if (before === undefined || before.pending === null) throw notFound('second factor that waits for its confirmation')
  const secret = unseal(masterKey, totpLabel(tenant, subject), before.pending)
  const step = stepOf(code, secret, at.getTime())
  if (step === undefined) {
    refuse([{ pointer: '/code', detail: 'is not a code that the new secret gives now' }])
    throw notFound('code')
  }
  const recovery_codes = newRecoveryCodes()
  const codes = recovery_codes.flatMap((text) => recoveryHash(text) ?? [])
  await confirmTotp(trx, change, subject, { step, codes })
  change.log({
    kind: 'credential',
    key: { type, id, credential: 'totp' },
    operation: 'update',
    before: { confirmed: before.sealed !== null },
    after: { confirmed: true },
  })
  return { status: 200, body: { confirmed: true }, version: null, id: shownRef(subject), secret: { recovery_codes } }
}

/** By oneself with a code of it, or with the password. */
export async function deleteTotp(
  parts: ProofParts,
  change: Changer,
  write: Write,
  subject: EntityRef,
  proof: Proof,
): Promise<Answer<null>> {
  if (isOneself(write, subject)) await prove(parts, write.tenant, subject, proof)
  return change(write, async (at) => {
    checkPrecondition(write.if_match, null)
    if (!(await removeTotp(at, subject))) throw notFound(`second factor of ${shownRef(subject)}`)
    return { status: 204, body: null, version: null, id: shownRef(subject) }
  })
}
