import type { Problem } from '../failure.ts'
import type { GivenCapability } from '../policy/capability.ts'
import type { GivenAssignment } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { isReadable, type ReadableKind } from '../policy/soundness.ts'
import type { StoredApiKey } from '../store/api-keys.ts'
import type { StoredAssignment } from '../store/assignments.ts'
import type { StoredCapability } from '../store/capabilities.ts'
import type { Stored } from '../store/documents.ts'
import type { Tenant } from '../store/tenants.ts'

/** What every stored thing is read with beside its document. Instants are RFC 3339 in UTC. */
export interface Stamps {
  readonly version: number
  readonly created_at: string
  readonly updated_at: string
}

export type Shown<T> = T & Stamps

/** As it is read: with why it is quarantined, if it is. */
export type Readable<T> = (Shown<T> & { readonly quarantined?: string }) | Unreadable

/** What is stored and has not the shape of a document. */
export interface Unreadable extends Stamps {
  readonly name: string
  readonly quarantined: string
  readonly stored: unknown
}
/** As the answer to a write shows it: with what was found about it, if anything, that does not keep it from being stored. */
export type Written<T> = Shown<T> & { readonly warnings?: readonly Problem[] }
export type ShownAssignment = GivenAssignment & { readonly created_at: string }
export type ShownCapability = (GivenCapability & CapabilityStamps) | UnreadableCapability
export type WrittenCapability = ShownCapability & { readonly warnings?: readonly Problem[] }

/** What is stored and has not the shape of a capability. */
export interface UnreadableCapability extends CapabilityStamps {
  readonly id: string
  readonly stored: unknown
}

interface CapabilityStamps {
  readonly active: boolean
  readonly granted_at: string
  readonly revoked_at: string | null
  readonly revoked_by: EntityRef | null
  readonly version: number
  readonly quarantined?: string
}

export type ShownApiKey = Shown<StoredApiKey['document']> & {
  readonly last_used_at: string | null
  /** The whole key, in the answer to its creation only. */
  readonly key?: string
}
export type ShownTenant = Shown<Pick<Tenant, 'id' | 'name' | 'status' | 'revision'>>

export function shown<T>({ document, version, created_at, updated_at }: Stored<T>): Shown<T> {
  return { ...document, version, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() }
}

/** `fault`: why this process has it in quarantine. */
export function readable<T extends { readonly name: string }>(
  kind: ReadableKind,
  stored: Stored<T>,
  fault: string | undefined,
): Readable<T> {
  if (isReadable(kind, stored.document)) return { ...shown(stored), ...(fault !== undefined && { quarantined: fault }) }
  const { document, ...stamps } = stored
  const { name, ...rest } = document
  return shown({ ...stamps, document: { name, quarantined: fault ?? UNREADABLE, stored: rest } })
}

const UNREADABLE = 'it does not have the shape of such a document'

/** Warnings stand in the answer to the write and nowhere else. */
export function warned<T extends object>(body: T, warnings: readonly Problem[]): T & { warnings?: readonly Problem[] } {
  return warnings.length === 0 ? body : { ...body, warnings }
}

export function shownAssignment({ document, created_at }: StoredAssignment): ShownAssignment {
  return { ...document, created_at: created_at.toISOString() }
}

/** `fault`: why this process has it in quarantine. */
export function shownCapability(
  stored: Pick<StoredCapability, 'id' | 'document' | 'version' | 'granted_at' | 'revoked_at' | 'revoked_by'>,
  at: Date,
  fault: string | undefined,
): ShownCapability {
  const { id, document, version, granted_at, revoked_at, revoked_by } = stored
  const isSound = isReadable('capability', document)
  const stamps = {
    active: isSound && revoked_at === null && Date.parse(document.expires_at) > at.getTime(),
    granted_at: granted_at.toISOString(),
    revoked_at: revoked_at?.toISOString() ?? null,
    revoked_by,
    version,
  }
  if (isSound) return { ...document, ...stamps, ...(fault !== undefined && { quarantined: fault }) }
  return { id, stored: document, quarantined: fault ?? UNREADABLE, ...stamps }
}

export function shownApiKey(key: StoredApiKey): ShownApiKey {
  return { ...shown(key), last_used_at: key.last_used_at?.toISOString() ?? null }
}

export function shownTenant({ id, name, status, ...rest }: Tenant): ShownTenant {
  const { revision, version, created_at, updated_at } = rest
  const stamps = { version, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() }
  return { id, name, status, revision, ...stamps }
}
