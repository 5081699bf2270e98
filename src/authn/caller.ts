import type { EntityRef } from '../policy/model.ts'

/** Who calls: a subject of one tenant, known by a credential. */
export interface Caller {
  /** The tenant of the credential. */
  readonly tenant: string
  readonly subject: EntityRef
  readonly method: 'api_key' | 'access_token'
  /** The API key that the call was made with, or that its token was got with. */
  readonly key_id: string | null
  /** Built-in roles that the credential itself holds; null: what the subject holds at the moment of use. */
  readonly key_roles: readonly string[] | null
  /** The session that its access token belongs to; null: it has none. */
  readonly session_id: string | null
  /** The trusted issuer by whose word the caller is who it is. */
  readonly issuer: IssuerGrant | null
}

export interface IssuerGrant {
  readonly name: string
  /** Roles that the issuer's token gave. */
  readonly roles: readonly string[]
  /** Roles that the issuer's registration allows: no others are held. */
  readonly allowed: readonly string[]
}
