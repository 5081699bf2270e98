import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Failure } from '../../src/failure.ts'
import { openDatabase } from '../../src/store/database.ts'
import { type Bench, by, digest, idempotent, openBench, operator, refusal, revisionOf } from './support.ts'

const ACME = { tenant: 'acme' }

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

describe('revisions', () => {
  test('are gapless under concurrent writers, and each has its own random id', async () => {
    const before = await revisionOf(bench.db)
    const writes = Array.from({ length: 20 }, (_, place) => bench.administration.roles.put(by(), { name: `r${place}` }))
    const answers = await Promise.all(writes)
    const made = answers.map(({ revision }) => revision).sort((one, other) => one - other)
    expect(made).toEqual(Array.from({ length: 20 }, (_, place) => before + 1 + place))
    const { rows } = await sql<{ revision: number; revision_id: string }>`
      select distinct revision, revision_id from policy_changes where tenant_id = 'acme' and revision > ${before}
      order by revision`.execute(bench.db)
    expect(rows.map(({ revision }) => revision)).toEqual(made)
    expect(new Set(rows.map(({ revision_id }) => revision_id)).size).toBe(20)
  })

  test('a write that waits too long for another one is refused, and can be tried again', async () => {
    const holder = await bench.db.startTransaction().execute()
    await sql`select from tenants where id = 'acme' for update`.execute(holder)
    const refused = await refusal(bench, () => bench.administration.roles.put(by(), { name: 'waits' }))
    await holder.rollback().execute()
    expect(refused.code).toBe('tenant_busy')
    expect(await bench.administration.roles.put(by(), { name: 'waits' })).toMatchObject({ status: 201 })
  })

  test('writers of one tenant wait for each other with one connection, for a bounded time, and others do not', async () => {
    const { db, pool, close } = openDatabase({ url: bench.url, size: 3 })
    const { roles } = bench.on(db)
    const holder = await bench.db.startTransaction().execute()
    try {
      await sql`select from tenants where id = 'acme' for update`.execute(holder)
      const names = Array.from({ length: 30 }, (_, place) => `w${place}`)
      const waiting = names.map((name) => roles.put(by(), { name }).catch((error: unknown) => error))
      const other = by({ tenant: 'other', caller: { ...by().caller, tenant: 'other' } })
      expect(await roles.put(other, { name: 'beside' })).toMatchObject({ status: 201 })
      expect(pool.totalCount).toBeLessThan(3)
      for (const refused of await Promise.all(waiting)) {
        expect(refused).toMatchObject({ code: 'tenant_busy', retryAfter: 1 })
      }
    } finally {
      await holder.rollback().execute()
      await close()
    }
    expect(await bench.administration.roles.put(by(), { name: 'w0' })).toMatchObject({ status: 201 })
  })

  test('a write that is committed and not in force yet is no failure, and says so', async () => {
    bench.inForce = false
    const late = await bench.administration.roles.put(by(), { name: 'tardy' })
    bench.inForce = true
    expect(late).toMatchObject({ status: 201, in_force: false, body: { name: 'tardy' } })
    expect(await bench.administration.roles.put(by(), { name: 'tardy' })).toMatchObject({
      in_force: true,
      revision: late.revision,
      recorded: false,
    })
  })

  test('a write of another tenant waits for nobody', async () => {
    const holder = await bench.db.startTransaction().execute()
    await sql`select from tenants where id = 'acme' for update`.execute(holder)
    const other = by({ tenant: 'other', caller: { ...by().caller, tenant: 'other' } })
    expect(await bench.administration.roles.put(other, { name: 'free' })).toMatchObject({ status: 201 })
    await holder.rollback().execute()
  })

  test('nothing is written in a tenant that is deleted, nor in one that is not there', async () => {
    const { tenants, roles } = bench.administration
    await tenants.create(operator(), { id: 'brief', name: 'Brief' })
    await tenants.delete(operator(), 'brief')
    for (const tenant of ['brief', 'never']) {
      const write = by({ tenant, caller: { ...by().caller, tenant } })
      expect(await refusal(bench, () => roles.put(write, { name: 'x' }))).toMatchObject({ code: 'not_found' })
    }
  })
})

describe('the change log', () => {
  test('says who changed what, when, why, and what was before', async () => {
    const { roles, changes } = bench.administration
    const { body: first } = await roles.put(by(), { name: 'logged' })
    const { revision } = await roles.put(by({ reason: 'ticket 7' }), { name: 'logged', description: 'new' })
    const { items } = await changes.list(ACME, revision - 1, { limit: 10 })
    const document = { name: 'logged', description: '', inherits: [], permissions: [] }
    expect(first).toMatchObject(document)
    expect(items).toEqual([
      {
        revision,
        ordinal: 0,
        kind: 'role',
        key: { name: 'logged' },
        operation: 'update',
        actor: { type: 'user', id: 'ada' },
        reason: 'ticket 7',
        before: document,
        after: { ...document, description: 'new' },
        at: '2026-01-02T03:04:05.678Z',
      },
    ])
  })

  test('holds neither the secret of a key nor the hash of it', async () => {
    const { api_keys } = bench.administration
    const { body } = await api_keys.create(by(idempotent('k', 'k')), {
      name: 'k',
      subject: { type: 'service', id: 's' },
    })
    const secret = body.key?.split('_').slice(2).join('_') ?? ''
    expect(body.key).toMatch(/^vdt_[a-z0-9]{16}_[A-Za-z0-9_-]{43}$/)
    const { rows } = await sql<{ secret_sha256: Buffer }>`
      select secret_sha256 from api_keys where id = ${body.id}`.execute(bench.db)
    const hash = rows[0]?.secret_sha256.toString('hex') ?? ''
    const kept = (await digest(bench.db)).split('\n').filter((line) => !line.includes('api_keys: '))
    const logged = await sql<{ text: string }>`
      select t::text as text from policy_changes t union all select t::text from audit_outbox t
      union all select t::text from idempotency_keys t`.execute(bench.db)
    expect(kept.join('\n')).not.toContain(secret)
    expect(logged.rows.length).toBeGreaterThan(0)
    for (const { text } of logged.rows) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(hash)
    }
    expect(bench.announced.map(({ event }) => event).join('\n')).not.toContain(secret)
  })
})

describe('the record of a change', () => {
  test('is owed in the same transaction, and announced after it with the same text', async () => {
    bench.announced.length = 0
    const { revision } = await bench.administration.roles.put(by({ reason: 'why' }), { name: 'recorded' })
    const [record] = bench.announced
    const owed = await bench.db
      .selectFrom('audit_outbox')
      .selectAll()
      .where('id', '=', record?.id ?? '')
      .executeTakeFirstOrThrow()
    expect(owed.event).toBe(record?.event)
    expect(JSON.parse(owed.event)).toMatchObject({
      tenant: 'acme',
      type: 'administration',
      actor: { type: 'user', id: 'ada' },
      subject: { type: 'user', id: 'ada' },
      action: { name: 'pdp:write' },
      resource: { type: 'pdp:rule', id: 'recorded' },
      context: { reason: 'why', changes: [{ kind: 'role', key: { name: 'recorded' }, operation: 'create' }] },
      decision: true,
      revision,
    })
  })

  test('that cannot be appended now undoes nothing: it stays owed', async () => {
    bench.announce = () => Promise.reject(new Failure('audit_unavailable', 'the disk is full'))
    const answer = await bench.administration.roles.put(by(), { name: 'owed' })
    bench.announce = null
    expect(answer.status).toBe(201)
    expect(bench.warnings).toHaveLength(1)
  })

  test('a write is answered after this replica decides by it', async () => {
    bench.waited.length = 0
    const { revision } = await bench.administration.roles.put(by(), { name: 'applied' })
    expect(bench.waited).toEqual([{ tenant: 'acme', revision }])
  })
})

describe('Idempotency-Key', () => {
  test('the same request gets the same answer, without its secret, and does nothing', async () => {
    const { api_keys } = bench.administration
    const asked = { name: 'once', subject: { type: 'service', id: 'once' } }
    const first = await api_keys.create(by(idempotent('a', 'POST key')), asked)
    const before = await digest(bench.db)
    const second = await api_keys.create(by(idempotent('a', 'POST key')), asked)
    expect(await digest(bench.db)).toBe(before)
    const { key, ...without } = first.body
    expect(key).toBeDefined()
    expect(second).toEqual({ ...first, body: without, recorded: false })
  })

  test('another request with the same key is refused', async () => {
    const { roles } = bench.administration
    await roles.put(by(idempotent('b', 'one')), { name: 'one' })
    const refused = await refusal(bench, () => roles.put(by(idempotent('b', 'two')), { name: 'two' }))
    expect(refused.code).toBe('idempotency_mismatch')
  })

  test("is the caller's own", async () => {
    const { roles } = bench.administration
    await roles.put(by(idempotent('c', 'one')), { name: 'mine' })
    const other = by({ ...idempotent('c', 'two'), caller: { ...by().caller, subject: { type: 'user', id: 'bea' } } })
    expect(await roles.put(other, { name: 'hers' })).toMatchObject({ status: 201 })
  })

  test('a request that was refused can be tried again with its key', async () => {
    const { roles } = bench.administration
    const write = by(idempotent('d', 'one'))
    await refusal(bench, () => roles.put(write, { name: 'child', inherits: ['parent'] }))
    await roles.put(by(), { name: 'parent' })
    expect(await roles.put(write, { name: 'child', inherits: ['parent'] })).toMatchObject({ status: 201 })
  })

  test('of concurrent requests with one key, one does the work and all get its answer', async () => {
    const { assignments, roles } = bench.administration
    await roles.put(by(), { name: 'given' })
    const before = await revisionOf(bench.db)
    const asked = { subject: { type: 'user', id: 'x' }, role: 'given' }
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => assignments.create(by(idempotent('e', 'x')), asked)),
    )
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1)
    expect(await revisionOf(bench.db)).toBe(before + 1)
  })

  test('is forgotten after 24 hours', async () => {
    const { roles } = bench.administration
    const start = bench.now
    await roles.put(by(idempotent('f', 'one')), { name: 'early' })
    bench.now = new Date(start.getTime() + 24 * 3600_000 - 1)
    expect(await refusal(bench, () => roles.put(by(idempotent('f', 'two')), { name: 'late' }))).toMatchObject({
      code: 'idempotency_mismatch',
    })
    bench.now = new Date(start.getTime() + 24 * 3600_000)
    expect(await roles.put(by(idempotent('f', 'two')), { name: 'late' })).toMatchObject({ status: 201 })
    const { rows } = await sql<{
      count: number
    }>`select count(*) as count from idempotency_keys where key <> 'f'`.execute(bench.db)
    expect(rows[0]?.count).toBe(0)
    bench.now = start
  })
})
