import { type Kysely, sql } from 'kysely'
import Type from 'typebox'
import type { NewSession, Rotation, SessionLimits, SessionStore, ShownToken } from '../authn/session.ts'
import type { EntityRef } from '../policy/model.ts'
import type { RevocationSource } from '../snapshot/revoked-tokens.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { TenantDatabase } from './database.ts'
import { tellRevoked } from './hints.ts'
import type { Database } from './schema.ts'

export function sessionStore(db: TenantDatabase): SessionStore {
  return {
    open: (session) => openSession(db.of(session.tenant), session),
    find: (tenant, sha256, limits) => findToken(db.of(tenant), tenant, sha256, limits),
    rotate: (tenant, from, to, limits) => rotate(db.of(tenant), tenant, from, to, limits),
    revoke: (tenant, id) => revokeSession(db.of(tenant), tenant, id),
    revokeAll: (tenant, subject) => revokeSessionsOf(db.of(tenant), tenant, subject),
    revokeToken: (jti, seconds) => revokeToken(db, jti, seconds),
  }
}

// Longer than any access token lives: what is revoked is remembered until nothing names it any more.
const REMEMBERED_S = 1_200

interface OpenedRow {
  readonly id: string
  readonly ends_at: Date
}

/**
 * A session for who has just proved the password with this hash. The password's row is held while it is made: who
 * changes the password either finds the session and ends it, or leaves nothing to open one with.
 */
async function openSession(db: Kysely<Database>, session: NewSession): Promise<Rotation | undefined> {
  const { tenant, subject, method, hash, id, sha256, lifetime_s } = session
  await sql`
    delete from sessions where tenant_id = ${tenant} and id in (
      select id from sessions where tenant_id = ${tenant} and expires_at < now() limit 100)`.execute(db)
  const { rows } = await sql<OpenedRow>`
    with held as (
      select 1 from passwords
      where tenant_id = ${tenant} and subject_type = ${subject.type} and subject_id = ${subject.id} and hash = ${hash}
      for share
    ), made as (
      insert into sessions (tenant_id, id, subject_type, subject_id, method, created_at, used_at, expires_at)
      select ${tenant}, ${id}::uuid, ${subject.type}, ${subject.id}, ${method}, now(), now(),
             now() + make_interval(secs => ${lifetime_s})
      from held returning id, expires_at
    ), token as (
      insert into refresh_tokens (tenant_id, sha256, session_id, created_at)
      select ${tenant}, ${sha256}, id, now() from made
    )
    select id, expires_at as ends_at from made`.execute(db)
  return rows.map(opened)[0]
}

function opened({ id, ends_at }: OpenedRow): Rotation {
  return { session: id, ends_at: ends_at.getTime() }
}

interface TokenRow {
  readonly id: string
  readonly type: string
  readonly subject_id: string
  readonly spent: boolean
  readonly alive: boolean
}

const endOf = ({ lifetime_s }: SessionLimits) =>
  sql`least(s.expires_at, s.created_at + make_interval(secs => ${lifetime_s}))`

const isAlive = (limits: SessionLimits) => sql`(
  s.revoked_at is null and s.used_at + make_interval(secs => ${limits.idle_s}) > now() and ${endOf(limits)} > now())`

async function findToken(
  db: Kysely<Database>,
  tenant: string,
  sha256: Buffer,
  limits: SessionLimits,
): Promise<ShownToken | undefined> {
  const { rows } = await sql<TokenRow>`
    select s.id, s.subject_type as type, s.subject_id, r.used_at is not null as spent, ${isAlive(limits)} as alive
    from refresh_tokens r join sessions s on s.tenant_id = r.tenant_id and s.id = r.session_id
    where r.tenant_id = ${tenant} and r.sha256 = ${sha256}`.execute(db)
  return rows.map(({ id, type, subject_id, spent, alive }) => ({
    session: id,
    subject: { type, id: subject_id },
    isSpent: spent,
    isAlive: alive,
  }))[0]
}

/** Spends one token for another, in one statement: of any number at once, one succeeds. */
async function rotate(
  db: Kysely<Database>,
  tenant: string,
  from: Buffer,
  to: Buffer,
  limits: SessionLimits,
): Promise<Rotation | undefined> {
  const { rows } = await sql<OpenedRow>`
    with spent as (
      update refresh_tokens set used_at = now()
      where tenant_id = ${tenant} and sha256 = ${from} and used_at is null returning session_id
    ), lives as (
      update sessions s set used_at = now() from spent
      where s.tenant_id = ${tenant} and s.id = spent.session_id and ${isAlive(limits)}
      returning s.id, ${endOf(limits)} as ends_at
    ), made as (
      insert into refresh_tokens (tenant_id, sha256, session_id, created_at)
      select ${tenant}, ${to}, id, now() from lives
    )
    select id, ends_at from lives`.execute(db)
  return rows.map(opened)[0]
}

async function revokeSession(db: Kysely<Database>, tenant: string, id: string): Promise<boolean> {
  const { rows } = await sql`
    with ended as (
      update sessions set revoked_at = now() where tenant_id = ${tenant} and id = ${id}::uuid and revoked_at is null
      returning id
    ), noted as (
      insert into revoked_tokens (id, expires_at) select id, now() + make_interval(secs => ${REMEMBERED_S}) from ended
      on conflict do nothing
    )
    select id, ${tellRevoked} from ended`.execute(db)
  return rows.length > 0
}

/** A session that has not ended. Instants are RFC 3339 in UTC. */
export interface OpenSession {
  readonly id: string
  readonly method: string
  readonly created_at: string
  readonly used_at: string
  readonly expires_at: string
}

type SessionRow = Readonly<Record<'created_at' | 'used_at' | 'ends_at', Date>> &
  Pick<OpenSession, 'id' | 'method'> & { readonly made: string }

/** When it was made, in µs since the epoch, and its id. */
const SessionCursor = Type.Tuple([
  Type.String({ pattern: '^[0-9]{1,17}$' }),
  Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }),
])

const openSessions = (tenant: string, { type, id }: EntityRef, limits: SessionLimits) => sql`
  sessions s where s.tenant_id = ${tenant} and s.subject_type = ${type} and s.subject_id = ${id} and ${isAlive(limits)}`

/** Those of a subject that have not ended, newest first. */
export async function listSessions(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
  limits: SessionLimits,
  page: Page,
): Promise<Listed<OpenSession>> {
  const [made, id] = decodeCursor(page.cursor, SessionCursor) ?? [null, null]
  const { rows } = await sql<SessionRow>`
    select * from (
      select s.id, s.method, s.created_at, s.used_at, ${endOf(limits)} as ends_at,
             (extract(epoch from s.created_at) * 1000000)::bigint::text as made
      from ${openSessions(tenant, subject, limits)}) open
    where ${made}::text is null or (made::bigint, id) < (${made}::bigint, ${id}::uuid)
    order by made::bigint desc, id desc limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, (row) => [row.made, row.id], shownSession)
}

function shownSession({ id, method, created_at, used_at, ends_at }: SessionRow): OpenSession {
  return {
    id,
    method,
    created_at: created_at.toISOString(),
    used_at: used_at.toISOString(),
    expires_at: ends_at.toISOString(),
  }
}

export async function countSessions(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
  limits: SessionLimits,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from ${openSessions(tenant, subject, limits)}`.execute(db)
  return rows[0]?.count ?? 0
}

/** Ends one session, if it is the subject's. @returns whether it was, and had not ended. */
export async function revokeSessionOf(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  session: string,
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from sessions
    where tenant_id = ${tenant} and id = ${session}::uuid and subject_type = ${type} and subject_id = ${id}`.execute(db)
  return rows.length > 0 && revokeSession(db, tenant, session)
}

/** Ends all sessions of a subject, or all but one. @returns how many there were. */
export async function revokeSessionsOf(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  but: string | null = null,
): Promise<number> {
  const { rows } = await sql`
    with ended as (
      update sessions set revoked_at = now()
      where tenant_id = ${tenant} and subject_type = ${type} and subject_id = ${id} and revoked_at is null
        and id is distinct from ${but}::uuid
      returning id
    ), noted as (
      insert into revoked_tokens (id, expires_at) select id, now() + make_interval(secs => ${REMEMBERED_S}) from ended
      on conflict do nothing
    )
    select id, ${tellRevoked} from ended`.execute(db)
  return rows.length
}

export async function revokeToken(db: Kysely<Database>, jti: string, seconds: number): Promise<void> {
  await sql`
    with noted as (
      insert into revoked_tokens (id, expires_at) values (${jti}::uuid, now() + make_interval(secs => ${seconds + 60}))
      on conflict do nothing returning 1
    )
    select ${tellRevoked} from noted`.execute(db)
}

export function revocationSource(db: Kysely<Database>): RevocationSource {
  return { revokedSince: (position) => revokedSince(db, position) }
}

/**
 * What was revoked by transactions that an earlier reading may not have seen the end of: commits do not follow the
 * order of their ids, but all below the oldest that is under way have been read.
 */
async function revokedSince(db: Kysely<Database>, position: string) {
  const { rows } = await sql<{ position: string; revoked: { id: string; expires_at: number }[] }>`
    select pg_snapshot_xmin(pg_current_snapshot())::text as position,
           coalesce((
             select json_agg(json_build_object('id', id, 'expires_at', (extract(epoch from expires_at) * 1000)::bigint))
             from revoked_tokens where xid >= ${position}::text::xid8 and expires_at > now()), '[]') as revoked`.execute(
    db,
  )
  const row = rows[0]
  if (row === undefined) throw new Error('the database says nothing about revoked tokens')
  return row
}

export async function pruneRevocations(db: Kysely<Database>): Promise<void> {
  await sql`delete from revoked_tokens where expires_at < now() - interval '1 minute'`.execute(db)
}
