import type { Context } from '../contract/contexts.ts'
import { VerdictError } from './error.ts'
import { isObject, type Members } from './shape.ts'

export interface VerifyContextOptions {
  /** Whose context it has to be. */
  readonly tenant: string
  /** ms since the epoch; the clock of this machine where it is left out. */
  readonly now?: number
  /** The public URL of the Verdict that has to have signed it. */
  readonly issuer?: string
  /** For whom it has to be, beside Verdict. */
  readonly audience?: string
}

/** What `/.well-known/jwks.json` gives out. */
export interface Jwks {
  readonly keys: readonly unknown[]
}

const TYPE = 'verdict-context+jwt'
const MAX_TOKEN = 16_384
/** Clocks of machines differ. */
const MAX_SKEW_MS = 5_000

/**
 * What a security context says, without asking Verdict: the same that `contexts.receive` answers. Advisory: that it was
 * revoked, and what its subject may do, only Verdict knows. A VerdictError: `context_invalid`, or `context_expired`.
 */
export async function verifyContext(token: string, jwks: Jwks, options: VerifyContextOptions): Promise<Context> {
  const [head = '', body = '', signature = '', more] = token.length > MAX_TOKEN ? [] : token.split('.')
  if (more !== undefined || head === '' || body === '' || signature === '') throw invalid('it is no signed token')
  const key = await keyOf(objectIn(head), jwks)
  const signed = new TextEncoder().encode(`${head}.${body}`)
  if (!(await crypto.subtle.verify('Ed25519', key, bytesOf(signature), signed))) {
    throw invalid('its signature does not verify')
  }
  const claims = objectIn(body)
  const context = contextIn(claims)
  checkUse(claims, context, options)
  return context
}

function invalid(detail: string, cause?: unknown): VerdictError {
  return new VerdictError('context_invalid', `the context is refused: ${detail}`, { cause })
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]+$/.test(text)) throw invalid('it is not written in base64url')
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    return Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch (cause) {
    throw invalid('it is not written in base64url', cause)
  }
}

function objectIn(text: string): Members {
  const bytes = bytesOf(text)
  try {
    const given: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (isObject(given)) return given
  } catch (cause) {
    throw invalid('it cannot be read', cause)
  }
  throw invalid('it cannot be read')
}

/** One algorithm alone, and the very key that the token names: nothing that comes with it is a key. */
async function keyOf({ alg, typ, kid, crit, b64 }: Members, { keys }: Jwks) {
  if (alg !== 'EdDSA' || typ !== TYPE || crit !== undefined || b64 !== undefined) throw invalid('it is no context')
  const found = keys.filter(isObject).find((key) => typeof kid === 'string' && key['kid'] === kid)
  if (found === undefined) throw invalid('it is signed with a key that is not there')
  const { kty, crv, x } = found
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string') throw invalid('its key is none of Ed25519')
  try {
    return await crypto.subtle.importKey('jwk', { kty, crv, x }, 'Ed25519', false, ['verify'])
  } catch (cause) {
    throw invalid('its key cannot be used', cause)
  }
}

function contextIn(claims: Members): Context {
  const { jti, subject, level = null, quotas, capabilities, parents, aud, iat, exp } = claims
  const context = {
    id: jti,
    subject,
    level,
    quotas,
    capabilities,
    parents,
    audience: aud,
    issued_at: instantOf(iat),
    expires_at: instantOf(exp),
  }
  if (!isContext(context)) throw invalid('its claims are not those of a context')
  return context
}

function instantOf(seconds: unknown): string | undefined {
  const isInstant = typeof seconds === 'number' && Number.isSafeInteger(seconds) && seconds >= 0 && seconds < 1e11
  return isInstant ? new Date(seconds * 1000).toISOString() : undefined
}

/** Verdict checks what it signs; what is acted on is looked at all the same. */
function isContext(given: { [Member in keyof Context]: unknown }): given is Context {
  const { id, subject, level, quotas, capabilities, parents, audience, issued_at, expires_at } = given
  return (
    [id, issued_at, expires_at].every(isText) &&
    isObject(subject) &&
    isText(subject['type']) &&
    isText(subject['id']) &&
    (level === null || isText(level)) &&
    isObject(quotas) &&
    Object.values(quotas).every((quota) => typeof quota === 'number') &&
    isListOf(parents, isText) &&
    isListOf(audience, isText) &&
    isListOf(capabilities, (layer) => isListOf(layer, isCapability))
  )
}

const isText = (given: unknown) => typeof given === 'string' && given !== ''
const isListOf = (given: unknown, is: (each: unknown) => boolean) => Array.isArray(given) && given.every(is)
const isCapability = (given: unknown) =>
  isObject(given) && isListOf(given['actions'], isText) && isListOf(given['resources'], isObject)

function checkUse(claims: Members, context: Context, options: VerifyContextOptions): void {
  const { tenant, now = Date.now(), issuer, audience } = options
  const { tenant: whose, iss, nbf, exp } = claims
  if (whose !== tenant) throw invalid('it is of another tenant')
  if (issuer !== undefined && iss !== issuer) throw invalid('it is of another issuer')
  if (audience !== undefined && !context.audience.includes(audience)) throw invalid('it is meant for somebody else')
  if (typeof nbf !== 'number' || nbf * 1000 > now + MAX_SKEW_MS) throw invalid('it is not valid yet')
  if (typeof exp === 'number' && now < exp * 1000) return
  throw new VerdictError('context_expired', 'the context has expired')
}
