import type { EntityRef } from '../policy/model.ts'

/** Seconds that a session lasts without being refreshed, and at most. */
export interface SessionLimits {
  readonly idle_s: number
  readonly lifetime_s: number
}

export interface NewSession {
  readonly tenant: string
  readonly subject: EntityRef
  readonly method: string
  /** The password's hash that was verified: the session is made only while it is still the one. */
  readonly hash: string
  readonly id: string
  /** Of its first refresh token. */
  readonly sha256: Buffer
  readonly lifetime_s: number
}

/** A refresh token as it is found when somebody shows it. */
export interface ShownToken {
  readonly session: string
  readonly subject: EntityRef
  readonly isSpent: boolean
  /** Whether its session has not ended, in whatever way. */
  readonly isAlive: boolean
}

export interface Rotation {
  readonly session: string
  /** When the session ends whatever happens: ms since the epoch. */
  readonly ends_at: number
}

/** Where sessions are kept. */
export interface SessionStore {
  /** Undefined where the password is no longer that. */
  open(session: NewSession): Promise<Rotation | undefined>
  find(tenant: string, sha256: Buffer, limits: SessionLimits): Promise<ShownToken | undefined>
  /** Undefined where the token was spent already, or its session has ended. */
  rotate(tenant: string, from: Buffer, to: Buffer, limits: SessionLimits): Promise<Rotation | undefined>
  /** False: it had ended already. */
  revoke(tenant: string, id: string): Promise<boolean>
  revokeAll(tenant: string, subject: EntityRef): Promise<number>
  /** Ends one access token, which has so many seconds left. */
  revokeToken(jti: string, seconds: number): Promise<void>
}
