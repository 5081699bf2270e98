import type { Kysely } from 'kysely'
import { Failure } from '../../failure.ts'
import type { EntityRef } from '../../policy/model.ts'
import {
  controllersOf,
  type Decider,
  groupsOf,
  type StoredRequest,
  type UsedCredential,
} from '../../store/permission-requests.ts'
import type { Database } from '../../store/schema.ts'
import type { Change } from '../change.ts'
import { shownRef } from '../refusal.ts'
import type { Author, Read } from '../write.ts'

const DECIDERS = ['pdp:approver', 'pdp:policy_admin', 'pdp:admin']

/** Whether one of these built-in roles decides about requests, as far as others asked them. */
export function mayDecide(roles: readonly string[]): boolean {
  return DECIDERS.some((role) => roles.includes(role))
}

export function credentialOf(caller: NonNullable<Read['caller']> | Author): UsedCredential {
  const { subject, key_id, session_id = null, issuer = null } = caller
  return { subject, key_id, session_id, issuer: issuer?.name ?? null }
}

/** Whoever would decide, with all for whom it must not: for requests of many at once. */
export async function deciderOf(db: Kysely<Database>, tenant: string, credential: UsedCredential): Promise<Decider> {
  const { subject } = credential
  return {
    self: { type: subject.type, id: subject.id },
    groups: await groupsOf(db, tenant, subject),
    controllers: await controllersOf(db, tenant, credential),
  }
}

/**
 * Two people: nobody decides what it asked itself, nor what is for it or for a group that it is in, nor by a credential that
 * the asker gave it, nor what was asked by a credential that it gave the asker.
 */
export async function requireDecider({ trx, tenant, write }: Change, request: StoredRequest): Promise<void> {
  const { asked_by, subject } = request.document
  const { self, groups, controllers } = await deciderOf(trx, tenant, credentialOf(write.caller))
  if (isAmong(asked_by, [self])) throw forbidden('nobody decides about its own request')
  if (isAmong(subject, [self, ...groups])) throw forbidden('nobody decides about a request for itself')
  if (isAmong(asked_by, controllers)) {
    throw forbidden(`the caller's credential was made by ${shownRef(asked_by)}, who asked`)
  }
  if (isAmong(self, request.controllers)) throw forbidden('it was asked by a credential that the caller made')
}

function isAmong({ type, id }: EntityRef, refs: readonly EntityRef[]): boolean {
  return refs.some((ref) => ref.type === type && ref.id === id)
}

function forbidden(detail: string): Failure {
  return new Failure('forbidden', detail)
}
