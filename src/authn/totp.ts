import { randomBytes } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'
import { secretHash } from './api-key.ts'

/** RFC 6238 as every authenticator app knows it: SHA-1, six digits, 30 s; a step to either side is taken too. */
const PERIOD_S = 30
const WINDOW = 1
const SECRET_BYTES = 20
const CODE = /^\d{6}$/

export function newTotpSecret(): Buffer {
  return randomBytes(SECRET_BYTES)
}

/** What an authenticator is given: the secret in base32, and the same as a URI for a QR code. */
export function totpForDisplay(
  secret: Buffer,
  account: string,
  issuer: string,
): { secret: string; otpauth_uri: string } {
  const totp = new TOTP({ secret: inBase32(secret), label: account, issuer, period: PERIOD_S })
  return { secret: totp.secret.base32, otpauth_uri: totp.toString() }
}

/** The time step that a code belongs to, if it is one of those that are valid now; undefined for any other text. */
export function stepOf(code: string, secret: Buffer, nowMs: number): number | undefined {
  if (!CODE.test(code)) return undefined
  const settings = { token: code, secret: inBase32(secret), period: PERIOD_S, window: WINDOW, timestamp: nowMs }
  const delta = TOTP.validate(settings)
  return delta === null ? undefined : Math.floor(nowMs / 1000 / PERIOD_S) + delta
}

function inBase32(secret: Buffer): Secret {
  return new Secret({ buffer: new Uint8Array(secret).buffer })
}

const RECOVERY_CODES = 10
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789'
const GROUPS = 4
const GROUP = 6

/** Codes for when the authenticator is lost: 118 random bits each, so that a fast hash keeps them. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: RECOVERY_CODES }, () => Array.from({ length: GROUPS }, group).join('-'))
}

function group(): string {
  let text = ''
  while (text.length < GROUP) {
    for (const byte of randomBytes(GROUP)) {
      // Bytes beyond the last whole multiple would make the first letters likelier.
      if (byte < 256 - (256 % LETTERS.length) && text.length < GROUP) text += LETTERS[byte % LETTERS.length]
    }
  }
  return text
}

/** The SHA-256 of a recovery code, however it was typed; undefined where the text can be none. */
export function recoveryHash(text: string): Buffer | undefined {
  const letters = text.toLowerCase().replace(/[^a-z0-9]/g, '')
  return letters.length === GROUPS * GROUP ? secretHash(letters) : undefined
}
