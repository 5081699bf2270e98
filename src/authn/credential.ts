import { parseApiKey, secretHash } from './api-key.ts'

/** What an `Authorization` header presents: an API key, its secret hashed, or what may be an access token. */
export type Credential =
  | { readonly key: { readonly id: string; readonly sha256: Buffer } }
  | { readonly key: undefined; readonly token: string }

/** Reads it; undefined where it is absent or no bearer's. */
export function readCredential(authorization: string | undefined): Credential | undefined {
  const token = /^bearer +([!-~]+)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) return undefined
  const key = parseApiKey(token)
  if (key === undefined) return { key, token }
  return { key: { id: key.id, sha256: secretHash(key.secret) } }
}

/** Characters: with one space a key takes 172 at most, and a header may be filled up with spaces. */
const MAX_KEPT = 256

interface Read {
  readonly authorization: string
  readonly credential: Credential
}

/**
 * What each connection presented last, read, where it was an API key: as a rule it presents the same with the next request,
 * and to hash a secret costs more than to compare it. (A token is longer: there it is the other way round.) No more than that
 * is remembered: whether a key holds is asked each time.
 */
export class LastCredentials {
  readonly #last = new WeakMap<object, Read>()

  read(connection: object, authorization: string | undefined): Credential | undefined {
    const last = this.#last.get(connection)
    if (last !== undefined && authorization !== undefined && isSame(last.authorization, authorization))
      return last.credential
    const credential = readCredential(authorization)
    const isKey = credential?.key !== undefined && authorization !== undefined
    if (isKey && authorization.length <= MAX_KEPT) this.#last.set(connection, { authorization, credential })
    return credential
  }
}

/** Takes as long for any two texts of one length: behind a proxy, several callers may come over one connection. */
function isSame(one: string, other: string): boolean {
  if (one.length !== other.length) return false
  let difference = 0
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at)
  return difference === 0
}
