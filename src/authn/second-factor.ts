import type { EntityRef } from '../policy/model.ts'
import { type Label, unseal } from './seal.ts'
import { recoveryHash, stepOf } from './totp.ts'

/** What a code can be spent on, each by one atomic statement: true for exactly one of those who try. */
export interface CodeStore {
  /** Takes the time step and all before it. */
  spendStep(tenant: string, subject: EntityRef, step: number): Promise<boolean>
  spendRecoveryCode(tenant: string, subject: EntityRef, sha256: Buffer): Promise<boolean>
}

export function totpLabel(tenant: string, { type, id }: EntityRef): Label {
  return { purpose: 'totp', id: JSON.stringify([tenant, type, id]) }
}

/** Whether a code is the second factor's: the authenticator's, or one for recovery. It can be used this once. */
export async function spendCode(
  store: CodeStore,
  masterKey: Buffer,
  holder: { readonly tenant: string; readonly subject: EntityRef; readonly sealed: Buffer },
  code: string,
  nowMs: number,
): Promise<boolean> {
  const { tenant, subject, sealed } = holder
  const step = stepOf(code.replaceAll(' ', ''), unseal(masterKey, totpLabel(tenant, subject), sealed), nowMs)
  if (step !== undefined) return store.spendStep(tenant, subject, step)
  const sha256 = recoveryHash(code)
  return sha256 !== undefined && store.spendRecoveryCode(tenant, subject, sha256)
}
