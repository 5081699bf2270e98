import { randomBytes, randomInt } from 'node:crypto'
import { secretHash } from '../authn/api-key.ts'
import type { Problem } from '../failure.ts'
import { parseInstant } from '../policy/instant.ts'
import type { EntityRef } from '../policy/model.ts'
import { checkRef } from '../policy/parse.ts'
import { deleteApiKeys, expireApiKey, getApiKey, insertApiKey, listApiKeys } from '../store/api-keys.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { problemOfBuiltInRole } from './assignments.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { utc } from './normal.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, refuse } from './refusal.ts'
import { type ShownApiKey, shownApiKey } from './representation.ts'
import type { Answer, Parts, Read, Write } from './write.ts'

/** A key that is asked for. Without roles it holds what its subject holds at the moment of use. */
export interface NewApiKey {
  readonly name: string
  readonly subject: EntityRef
  readonly roles?: readonly string[] | null | undefined
  readonly expires_at?: string | null | undefined
}

export interface Rotation {
  /** Seconds that the old key stays good. */
  readonly overlap_s?: number | undefined
  /** When the new one expires; undefined: when the old one was to. */
  readonly expires_at?: string | null | undefined
}

export interface ApiKeyFilter {
  readonly older_than_days?: number | undefined
}

export interface ApiKeyAdministration {
  list(read: Read, filter: ApiKeyFilter, page: Page): Promise<Listed<ShownApiKey>>
  /** The answer holds the whole `key`, this once: what is kept is its hash. */
  create(write: Write, key: NewApiKey): Promise<Answer<ShownApiKey>>
  /** A key in the place of another, which expires after the overlap. The answer holds the whole new `key`, this once. */
  rotate(write: Write, id: string, rotation: Rotation): Promise<Answer<ShownApiKey>>
  delete(write: Write, id: string): Promise<Answer<null>>
}

export function apiKeyAdministration({ db, clock }: Parts, change: Changer): ApiKeyAdministration {
  return {
    async list({ tenant }, { older_than_days }, page) {
      const before = older_than_days === undefined ? null : new Date(clock().getTime() - older_than_days * DAY_MS)
      const { items, next_cursor } = await listApiKeys(db.of(tenant), tenant, before, page)
      return { items: items.map(shownApiKey), next_cursor }
    },
    create: (write, key) => change(write, (at) => create(at, key)),
    rotate: (write, id, rotation) => change(write, (at) => rotate(at, id, rotation)),
    delete: (write, id) => change(write, (at) => remove(at, id)),
  }
}

async function create(change: Change, asked: NewApiKey): Promise<Outcome<ShownApiKey>> {
  checkPrecondition(change.write.if_match, undefined)
  refuse(problemsOf(change, asked))
  return make(change, asked)
}

async function make(change: Change, asked: NewApiKey): Promise<Outcome<ShownApiKey>> {
  const { revision: version, at } = change
  const { name, subject, roles = null } = asked
  const after = { id: randomId(), name, subject, roles, expires_at: utc(asked.expires_at) }
  const secret = randomBytes(32).toString('base64url')
  await insertApiKey(change.trx, change, { ...after, secret_sha256: secretHash(secret) })
  change.log({ kind: 'api_key', key: { id: after.id }, operation: 'create', before: null, after })
  const body = shownApiKey({ document: after, last_used_at: null, version, created_at: at, updated_at: at })
  return { status: 201, body, version, id: after.id, secret: { key: `vdt_${after.id}_${secret}` } }
}

async function rotate(change: Change, id: string, rotation: Rotation): Promise<Outcome<ShownApiKey>> {
  const { trx, tenant, at } = change
  const found = await getApiKey(trx, tenant, id)
  if (found === undefined) throw notFound(`API key ${id}`)
  checkPrecondition(change.write.if_match, found.version)
  const { document: before } = found
  const ended = before.expires_at !== null && Date.parse(before.expires_at) <= at.getTime()
  refuse(ended ? [{ pointer: '/id', detail: 'the key has expired: create another' }] : [])
  const { overlap_s = OVERLAP_S, expires_at = before.expires_at } = rotation
  refuse(expiryProblems(expires_at, at))
  const made = await make(change, { ...before, expires_at })
  const until = new Date(at.getTime() + overlap_s * 1000)
  if (before.expires_at === null || until < new Date(before.expires_at)) {
    await expireApiKey(trx, change, id, until)
    const after = { ...before, expires_at: until.toISOString() }
    change.log({ kind: 'api_key', key: { id }, operation: 'update', before, after })
  }
  return made
}

async function remove(change: Change, id: string): Promise<Outcome<null>> {
  const found = await getApiKey(change.trx, change.tenant, id)
  if (found === undefined) throw notFound(`API key ${id}`)
  checkPrecondition(change.write.if_match, found.version)
  await deleteApiKeys(change.trx, change.tenant, [id])
  change.log({ kind: 'api_key', key: { id }, operation: 'delete', before: found.document, after: null })
  return { status: 204, body: null, version: null, id }
}

function problemsOf({ tenant, at }: Change, { subject, roles, expires_at }: NewApiKey): Problem[] {
  const problems: Problem[] = checkRef('/subject', subject)
  for (const [place, role] of (roles ?? []).entries()) {
    const detail = problemOfBuiltInRole(tenant, role)
    if (detail !== undefined) problems.push({ pointer: `/roles/${place}`, detail })
  }
  if (roles?.length === 0)
    problems.push({ pointer: '/roles', detail: 'a key holds at least one role, or what its subject holds' })
  problems.push(...expiryProblems(expires_at, at))
  return problems
}

function expiryProblems(expiresAt: string | null | undefined, at: Date): Problem[] {
  if (expiresAt === null || expiresAt === undefined) return []
  const end = parseInstant(expiresAt)
  if (Number.isNaN(end)) return [{ pointer: '/expires_at', detail: 'is no instant in the years 0001 to 9999 (UTC)' }]
  return end > at.getTime() ? [] : [{ pointer: '/expires_at', detail: 'the key would have expired already' }]
}

const DAY_MS = 86_400_000
const OVERLAP_S = 86_400

const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

function randomId(): string {
  return Array.from({ length: 16 }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]).join('')
}
