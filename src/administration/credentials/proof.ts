import { randomUUID } from 'node:crypto'
import type { PasswordHasher } from '../../authn/password/hasher.ts'
import { spendCode } from '../../authn/second-factor.ts'
import { LIMITS, ThrottleKeys } from '../../authn/throttle.ts'
import { Failure } from '../../failure.ts'
import type { EntityRef } from '../../policy/model.ts'
import type { TenantDatabase } from '../../store/database.ts'
import { getPassword } from '../../store/passwords.ts'
import { admit, forgetFailures } from '../../store/throttles.ts'
import { getTotp, spendRecoveryCode, spendStep } from '../../store/totps.ts'
import { refuse } from '../refusal.ts'

/** What people's credentials need beside what all of administration does. */
export interface CredentialParts {
  readonly hasher: PasswordHasher
  /** 32 bytes, by which second factors are sealed. */
  readonly masterKey: Buffer
}

export interface ProofParts extends CredentialParts {
  readonly db: TenantDatabase
  readonly clock: () => Date
}

export interface Proof {
  readonly current_password?: string | undefined
  readonly code?: string | undefined
}

/**
 * That somebody who is logged in is still the one who logged in: by the password, or where the proof holds a code
 * instead, by that. Its failures are counted like those of logging in. A session that was stolen proves nothing.
 * @returns the hash that the password was verified against; undefined where a code was the proof.
 */
export async function prove(
  parts: ProofParts,
  tenant: string,
  subject: EntityRef,
  proof: Proof,
): Promise<string | undefined> {
  const { current_password: password, code } = proof
  if (password === undefined && code === undefined) {
    refuse([{ pointer: '/current_password', detail: 'is required of who does this to itself' }])
  }
  const key = new ThrottleKeys(parts.masterKey).ofProof(tenant, subject)
  if (!(await admit(parts.db, key, randomUUID()))) {
    throw new Failure('throttled', 'too many attempts with a wrong password or code', { retryAfter: LIMITS.lock_s })
  }
  const hash = password === undefined ? undefined : await verified(parts, tenant, subject, password)
  if (code !== undefined && password === undefined) await spent(parts, tenant, subject, code)
  await forgetFailures(parts.db, key)
  return hash
}

async function verified(
  { db, hasher }: ProofParts,
  tenant: string,
  subject: EntityRef,
  password: string,
): Promise<string> {
  const stored = await getPassword(db.of(tenant), tenant, subject)
  if (stored === undefined || !(await hasher.verify(password, stored.hash))) {
    throw wrong('/current_password', 'is not the present password')
  }
  return stored.hash
}

async function spent(parts: ProofParts, tenant: string, subject: EntityRef, code: string): Promise<void> {
  const { masterKey, clock } = parts
  const db = parts.db.of(tenant)
  const sealed = (await getTotp(db, tenant, subject))?.sealed ?? null
  const store = {
    spendStep: (...of: [string, EntityRef, number]) => spendStep(db, ...of),
    spendRecoveryCode: (...of: [string, EntityRef, Buffer]) => spendRecoveryCode(db, ...of),
  }
  const isRight =
    sealed !== null && (await spendCode(store, masterKey, { tenant, subject, sealed }, code, clock().getTime()))
  if (!isRight) throw wrong('/code', 'is not a code that is valid now')
}

function wrong(pointer: string, detail: string): Failure {
  return new Failure('unprocessable', detail, { problems: [{ pointer, detail }] })
}
