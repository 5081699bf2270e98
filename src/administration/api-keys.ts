import { randomBytes, randomInt } from 'node:crypto'
import { secretHash } from '../authn/api-key.ts'
import type { Problem } from '../failure.ts'
import { parseInstant } from '../policy/instant.ts'
import type { EntityRef } from '../policy/model.ts'
import { checkRef } from '../policy/parse.ts'
import { deleteApiKeys, getApiKey, insertApiKey, listApiKeys } from '../store/api-keys.ts'
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

export interface ApiKeyAdministration {
  list(read: Read, page: Page): Promise<Listed<ShownApiKey>>
  /** The answer holds the whole `key`, this once: what is kept is its hash. */
  create(write: Write, key: NewApiKey): Promise<Answer<ShownApiKey>>
  delete(write: Write, id: string): Promise<Answer<null>>
}

export function apiKeyAdministration({ db }: Parts, change: Changer): ApiKeyAdministration {
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await listApiKeys(db.of(tenant), tenant, page)
      return { items: items.map(shownApiKey), next_cursor }
    },
    create: (write, key) => change(write, (at) => create(at, key)),
    delete: (write, id) => change(write, (at) => remove(at, id)),
  }
}

async function create(change: Change, asked: NewApiKey): Promise<Outcome<ShownApiKey>> {
  const { trx, revision: version, at } = change
  checkPrecondition(change.write.if_match, undefined)
  refuse(problemsOf(change, asked))
  const { name, subject, roles = null } = asked
  const after = { id: randomId(), name, subject, roles, expires_at: utc(asked.expires_at) }
  const secret = randomBytes(32).toString('base64url')
  await insertApiKey(trx, change, { ...after, secret_sha256: secretHash(secret) })
  change.log({ kind: 'api_key', key: { id: after.id }, operation: 'create', before: null, after })
  const body = shownApiKey({ document: after, last_used_at: null, version, created_at: at, updated_at: at })
  return { status: 201, body, version, id: after.id, secret: { key: `vdt_${after.id}_${secret}` } }
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

const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

function randomId(): string {
  return Array.from({ length: 16 }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]).join('')
}
