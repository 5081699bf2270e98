import { randomUUID } from 'node:crypto'
import type { EntityRef } from '../policy/model.ts'
import { Gate } from './gate.ts'
import { hashOfNothing, isOutdated } from './password/argon2.ts'
import type { PasswordHasher } from './password/hasher.ts'
import { usernameKey } from './password/rules.ts'
import { type CodeStore, spendCode } from './second-factor.ts'
import { type AttemptKeys, ThrottleKeys } from './throttle.ts'

export interface LoginAttempt {
  readonly tenant: string
  readonly username: string
  readonly password: string
  /** A code of the authenticator, or one for recovery. */
  readonly otp: string | undefined
  readonly address: string
}

/** Somebody with a password. */
export interface Account {
  readonly subject: EntityRef
  /** A PHC string. */
  readonly hash: string
  /** The sealed secret of the second factor; null: none is confirmed. */
  readonly totp: Buffer | null
}

/** What is there for an attempt, read at once. */
export interface Standing {
  readonly isTenant: boolean
  readonly account: Account | undefined
  /** Seconds that the address is locked yet; 0: it is not. */
  readonly address_locked_s: number
  /** Whether the account was logged in to from the address lately. */
  readonly isKnown: boolean
}

/** What logging in asks of the store: each is one statement, the same for accounts that are there and that are not. */
export interface LoginStore extends CodeStore {
  standing(tenant: string, usernameKey: string, keys: Pick<AttemptKeys, 'address' | 'pair'>): Promise<Standing>
  /** Counts an attempt as failed before it is made; false while what it is counted under is locked. */
  admit(key: Buffer, attempt: string): Promise<boolean>
  failedFrom(address: Buffer): Promise<void>
  /** Forgets the failures under these keys, and knows the address from now on. */
  succeeded(forgiven: readonly Buffer[], pair: Buffer): Promise<void>
  /** Replaces a hash by another of the same password, if it is still the one that is kept. */
  rehash(tenant: string, subject: EntityRef, from: string, to: string): Promise<void>
}

export type RefusalReason = 'invalid_credential' | 'second_factor_missing' | 'second_factor_invalid' | 'throttled'

export type LoginOutcome =
  | { readonly subject: EntityRef; readonly hash: string }
  | {
      readonly subject: undefined
      readonly reason: RefusalReason
      /** The tenant and the account, each if there is one. */
      readonly tenant: string | undefined
      readonly account: EntityRef | undefined
      /** What a record calls the account, whether there is one or not. */
      readonly name: string
      /** Seconds for which the address is locked; 0: it is not. */
      readonly address_locked_s: number
    }

export interface LoginParts {
  readonly store: LoginStore
  readonly hasher: PasswordHasher
  readonly masterKey: Buffer
  /** ms since the epoch. */
  readonly clock: () => number
}

export type LogIn = (attempt: LoginAttempt) => Promise<LoginOutcome>

/**
 * Logging in with a password. Whatever is wrong, the same statements run and one password is verified, so that a name
 * that is no account costs what an account costs.
 */
export function passwordLogin(parts: LoginParts): LogIn {
  const keysOf = new ThrottleKeys(parts.masterKey)
  const nothing = hashOfNothing()
  // One address can't fill the queue in front of the hashing threads, and the attempts of one person do not overtake
  // each other: else, five right ones at once would be counted as five failures.
  const addresses = new Gate({ atOnce: 4, waiting: 32, what: 'attempts' })
  const people = new Gate({ atOnce: 1, waiting: 8, what: 'attempts' })
  return (attempt) => {
    const keys = keysOf.ofAttempt(attempt.tenant, usernameKey(attempt.username), attempt.address)
    const work = () => tryLogin(parts, attempt, keys, nothing)
    return people.with(keys.pair.toString('base64'), () => addresses.with(keys.address.toString('base64'), work))
  }
}

async function tryLogin(
  parts: LoginParts,
  attempt: LoginAttempt,
  keys: AttemptKeys,
  nothing: string,
): Promise<LoginOutcome> {
  const { store, hasher } = parts
  const standing = await store.standing(attempt.tenant, usernameKey(attempt.username), keys)
  const { account, isKnown } = standing
  const isBlocked = standing.address_locked_s > 0 && !isKnown
  const counted = isKnown ? keys.pair : isBlocked ? keys.blocked : keys.account
  const isAdmitted = (await store.admit(counted, randomUUID())) && !isBlocked
  const isRight = await hasher.verify(attempt.password, account?.hash ?? nothing)
  const refused = (reason: RefusalReason) => refusal(parts, attempt, keys, standing, reason)
  if (account === undefined || !isRight) {
    // What a right password would have asked of the store next.
    if (attempt.otp !== undefined) await store.admit(keys.blocked, randomUUID())
    return refused(isAdmitted ? 'invalid_credential' : 'throttled')
  }

  const forgiven = isAdmitted ? [counted] : []
  if (account.totp === null) {
    if (!isAdmitted) return refused('throttled')
  } else {
    // A right password with a right code is let through, whoever locked the account: who only knows its name, or
    // guesses its password, can't keep its owner out.
    const otp = isKnown ? keys.pair_otp : keys.account_otp
    if (attempt.otp === undefined) return refused('second_factor_missing')
    if (!(await store.admit(otp, randomUUID()))) return refused('throttled')
    const holder = { tenant: attempt.tenant, subject: account.subject, sealed: account.totp }
    const isCode = await spendCode(store, parts.masterKey, holder, attempt.otp, parts.clock())
    if (!isCode) return refused('second_factor_invalid')
    forgiven.push(otp)
  }
  await store.succeeded(forgiven, keys.pair)
  return { subject: account.subject, hash: await upToDate(parts, attempt, account) }
}

async function refusal(
  { store }: LoginParts,
  { tenant }: LoginAttempt,
  keys: AttemptKeys,
  { isTenant, account, address_locked_s }: Standing,
  reason: RefusalReason,
): Promise<LoginOutcome> {
  // While an address is locked, its failures do not make that longer.
  await store.failedFrom(address_locked_s > 0 ? keys.blocked : keys.address)
  return {
    subject: undefined,
    reason,
    tenant: isTenant ? tenant : undefined,
    account: account?.subject,
    name: keys.name,
    address_locked_s,
  }
}

async function upToDate({ store, hasher }: LoginParts, attempt: LoginAttempt, account: Account): Promise<string> {
  if (!isOutdated(account.hash)) return account.hash
  const hash = await hasher.hash(attempt.password)
  await store.rehash(attempt.tenant, account.subject, account.hash, hash)
  return hash
}
