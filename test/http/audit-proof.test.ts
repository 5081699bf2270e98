import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import { isConsistent, isIncluded, leafHash } from '../../src/audit/merkle.ts'
import { parseKey, type VerifierKey } from '../../src/audit/note.ts'
import { AUDIT_COLUMNS, freshDatabase } from '../support/database.ts'
import { eventually, newKey, type Reply, startService, type TestService } from '../support/service.ts'

let service: TestService
let auditor: string
let ids: string[]

beforeAll(async () => {
  service = await startService()
  auditor = await service.keyWith(['pdp:auditor'])
  ids = await decide(600)
  await eventually(
    () => proofOf(ids.at(-1) ?? ''),
    ({ status }) => status === 200,
  )
})

afterAll(() => service.close())

async function decide(count: number): Promise<string[]> {
  const body = {
    subject: { type: 'user', id: 'alice' },
    action: { name: 'document:edit' },
    resource: { type: 'document', id: 'plän' },
  }
  const answers: Reply[] = []
  while (answers.length < count) {
    answers.push(...(await Promise.all(Array.from({ length: 50 }, () => service.ask('POST /v1/authorize', { body })))))
  }
  return answers.map((answer) => answer.body.context.decision_id)
}

const proofOf = (id: string) => service.ask(`GET /v1/audit/${id}/proof`, { key: auditor })
const verify = (query = '') => service.ask(`GET /v1/audit/verify${query}`, { key: auditor })
const buffers = (hashes: readonly string[]) => hashes.map((hash) => Buffer.from(hash, 'base64'))

async function keys(): Promise<VerifierKey[]> {
  const { body } = await service.ask('GET /v1/audit/checkpoints?limit=1', { key: auditor })
  return body.keys.map(parseKey)
}

async function asOwner<T>(work: (owner: pg.Client) => Promise<T>): Promise<T> {
  const owner = new pg.Client({ connectionString: service.database.ownerUrl })
  await owner.connect()
  try {
    return await work(owner)
  } finally {
    await owner.end()
  }
}

describe('a proof', () => {
  test('lets whoever has the public key verify a record', async () => {
    for (const id of [ids[0], ids[255], ids[256], ids[300], ids.at(-1)]) {
      const { body } = await proofOf(id ?? '')
      const record = Buffer.from(body.record, 'base64')
      expect(JSON.parse(record.toString())).toMatchObject({ id, type: 'decision', resource: { id: 'plän' } })
      expect(leafHash(record).toString('hex')).toBe(body.hash)
      const checkpoint = openCheckpoint(body.checkpoint, await keys())
      if ('fault' in checkpoint) throw new Error(checkpoint.fault)
      expect(checkpoint).toMatchObject({ writer: body.writer, size: body.tree_size })
      const proof = buffers(body.hashes)
      expect(isIncluded(leafHash(record), body.leaf_index, body.tree_size, proof, checkpoint.root)).toBe(true)
      expect(isIncluded(leafHash(record), body.leaf_index + 1, body.tree_size, proof, checkpoint.root)).toBe(false)
    }
  })

  test('is verified by the script in the documentation, which needs nothing of ours', async () => {
    const { body } = await proofOf(ids[257] ?? '')
    const text = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8')
    const directory = await mkdtemp(join(tmpdir(), 'verdict-prove-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const [script, proof] = [join(directory, 'prove.mjs'), join(directory, 'proof.json')]
    await writeFile(script, /```js\n([\s\S]*?)```/.exec(text)?.[1] ?? '')
    const [key = ''] = (await service.ask('GET /v1/audit/checkpoints?limit=1', { key: auditor })).body.keys
    const prove = async (given: object) => {
      await writeFile(proof, JSON.stringify(given))
      return (await promisify(execFile)(process.execPath, [script, proof, key])).stdout
    }
    expect(await prove(body)).toMatch(/^signed true\nincluded true\n\{"id":/)
    expect(await prove({ ...body, leaf_index: 3 })).toMatch(/^signed true\nincluded false\n/)
    const other = body.checkpoint.replace(/\ntime 2/, '\ntime 3')
    expect(await prove({ ...body, checkpoint: other })).toMatch(/^signed false\nincluded true\n/)
  })

  test('has the hash that the record has in the list', async () => {
    const [{ body: proof }, { body: item }] = await Promise.all([
      proofOf(ids[0] ?? ''),
      service.ask(`GET /v1/audit/${ids[0]}`, { key: auditor }),
    ])
    expect(proof).toMatchObject({ hash: item.hash, leaf_index: item.seq, writer: item.writer })
  })

  test('is given of the tenant’s own records only', async () => {
    const foreign = await service.ask(`GET /v1/audit/${ids[0]}/proof`, { key: service.rootKey })
    expect(foreign.status).toBe(404)
    expect((await proofOf(randomUUID())).status).toBe(404)
  })

  test('of a decision that was answered just now waits for its record and the checkpoint over it', async () => {
    const [id = ''] = await decide(50)
    const answer = await proofOf(id)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    expect(answer.body).toMatchObject({ id })
  })
})

describe('a record that somebody has edited', () => {
  test('has no proof: who asks is told so, and has those of the others as ever', async () => {
    const [id, other] = [ids[320] ?? '', ids[321] ?? '']
    await asOwner(async (owner) => {
      const edit = 'update audit set record = convert_to(replace(convert_from(record, $2), $3, $4), $2) where id = $1'
      const replace = (from: string, to: string) => owner.query(edit, [id, 'UTF8', from, to])
      expect((await replace('alice', 'malic')).rowCount).toBe(1)
      const { status, body } = await proofOf(id)
      expect([status, body.type]).toEqual([409, 'urn:verdict:problem:conflict'])
      expect(body.detail).toContain('is not what was sealed')
      expect(body).not.toHaveProperty('record')
      expect((await proofOf(other)).status).toBe(200)
      await replace('malic', 'alice')
    })
    expect((await proofOf(id)).status).toBe(200)
  })
})

describe('a last checkpoint that somebody has spoiled', () => {
  test('proves nothing: who asks is told so, and the others are listed as ever', async () => {
    const other = await startService()
    onTestFinished(() => other.close())
    const key = await other.keyWith(['pdp:auditor'])
    const list = () => other.ask('GET /v1/audit/checkpoints', { key })
    await eventually(list, ({ body }) => body.items.length > 0)
    const { body: page } = await other.ask('GET /v1/audit?order=asc&limit=1', { key })
    const [{ id, writer }] = page.items
    expect((await other.ask(`GET /v1/audit/${id}/proof`, { key })).status).toBe(200)
    // What comes meanwhile would be sealed under a sound one.
    await sql`
      create function spoil() returns trigger language plpgsql as 'begin new.note := ''x''; return new; end'`.execute(
      other.database.db,
    )
    await sql`create trigger spoil before insert on audit_checkpoints for each row execute function spoil()`.execute(
      other.database.db,
    )
    await sql`update audit_checkpoints set note = 'x'`.execute(other.database.db)
    for (const route of [
      `GET /v1/audit/${id}/proof`,
      `GET /v1/audit/checkpoints/consistency?writer=${writer}&from_size=1&to_size=1`,
    ]) {
      const { status, body } = await other.ask(route, { key })
      expect([status, body.detail]).toEqual([503, expect.stringContaining('is not sound')])
    }
    const { status, body } = await list()
    expect(status).toBe(200)
    expect(body.items.map(({ at }: { at: string }) => Number.isNaN(Date.parse(at)))).not.toContain(true)
  })
})

describe('checkpoints', () => {
  test('are listed newest first, in pages, each signed by one of the keys', async () => {
    await decide(50)
    const list = (query: string) => service.ask(`GET /v1/audit/checkpoints?${query}`, { key: auditor })
    await eventually(
      () => list('limit=10'),
      ({ body }) => body.items.length >= 2,
    )
    const { body } = await list('limit=1')
    const [first] = body.items
    const next = await list(`limit=1&cursor=${body.next_cursor}`)
    expect(next.body.items[0].size).toBeLessThan(first.size)
    expect(openCheckpoint(first.checkpoint, await keys())).toMatchObject({ writer: first.writer, at: first.at })
    expect((await list(`writer=${first.writer}&limit=1`)).body.items).toHaveLength(1)
    expect((await list(`writer=${randomUUID()}`)).body.items).toEqual([])
    expect((await list('cursor=eyJhIjoxfQ')).status).toBe(400)
  })

  test('of one log are shown to be of one log that grew', async () => {
    const { body } = await service.ask('GET /v1/audit/checkpoints?limit=1000', { key: auditor })
    const [latest, ...others] = body.items
    const [first] = others.filter(({ writer }: { writer: string }) => writer === latest.writer).reverse()
    const ask = (from: number, to: number) =>
      service.ask(`GET /v1/audit/checkpoints/consistency?writer=${latest.writer}&from_size=${from}&to_size=${to}`, {
        key: auditor,
      })
    const proof = await ask(first.size, latest.size)
    const [from, to] = buffers([first.root, latest.root])
    if (from === undefined || to === undefined) throw new Error('no roots')
    expect(isConsistent(first.size, latest.size, buffers(proof.body.hashes), from, to)).toBe(true)
    expect(isConsistent(first.size, latest.size, buffers(proof.body.hashes), to, from)).toBe(false)
    expect(await ask(latest.size, first.size)).toMatchObject({ status: 400 })
    expect(await ask(1, latest.size + 1_000_000)).toMatchObject({ status: 400 })
  })
})

describe('verifying a tenant', () => {
  test('finds nothing wrong where nothing is, and says what it was held against', async () => {
    const { body } = await verify()
    expect(body).toMatchObject({ integrity: { ok: true }, completeness: { ok: true } })
    expect(body.integrity.checked).toBeGreaterThan(600)
    expect(body.checkpoints).toHaveLength(1)
    expect(openCheckpoint(body.checkpoints[0].checkpoint, await keys())).toMatchObject({
      size: body.checkpoints[0].sealed,
    })
  })

  test('looks at a time only, and is as sure of its edges', async () => {
    const { body: item } = await service.ask(`GET /v1/audit/${ids[300]}`, { key: auditor })
    const { body } = await verify(`?from=${item.at}`)
    expect(body).toMatchObject({ integrity: { ok: true }, completeness: { ok: true } })
    expect(body.integrity.checked).toBeLessThan(600)
    const until = await verify(`?to=${item.at}`)
    expect(until.body).toMatchObject({ integrity: { ok: true }, completeness: { ok: true } })
    expect((await verify('?from=yesterday')).status).toBe(400)
  })

  test('of a time that ends before it begins is refused', async () => {
    const { status, body } = await verify('?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z')
    const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer)
    expect([status, pointers]).toEqual([400, ['/from', '/to']])
  })

  test('is recorded as a reading of the audit', async () => {
    await verify('?from=2020-01-01T00:00:00Z')
    const found = await eventually(
      () => service.ask('GET /v1/audit?type=audit_access&limit=100', { key: auditor }),
      ({ body }) => body.items.some(({ context }: { context: { query?: { from?: string } } }) => context.query?.from),
    )
    expect(found.status).toBe(200)
  })

  test('ends where there are too many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => verify()))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(1)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
  })

  test.each([
    ['an edited row', 'changed', `update audit set record = record || ' ' where id = $1`, 'integrity'],
    ['an edited column', 'column', `update audit set subject_id = 'bob' where id = $1`, 'integrity'],
    ['a deleted row', 'missing', 'delete from audit where id = $1', 'completeness'],
  ])('finds %s', async (_what, kind, statement, verdict) => {
    const id = ids[310]
    await asOwner(async (owner) => {
      await owner.query('create table kept as select * from audit where id = $1', [id])
      expect((await owner.query(statement, [id])).rowCount).toBe(1)
      const { body } = await verify()
      const { integrity, completeness } = body
      expect([integrity.ok, completeness.ok]).toEqual([verdict !== 'integrity', verdict !== 'completeness'])
      const found = verdict === 'integrity' ? integrity.first_bad : completeness.missing[0]
      expect(found).toMatchObject({ kind, ...(verdict === 'integrity' ? { id } : { count: 1 }) })
      await owner.query('delete from audit where id = $1', [id])
      await owner.query(`insert into audit (${AUDIT_COLUMNS}) select ${AUDIT_COLUMNS} from kept`)
      await owner.query('drop table kept')
    })
    expect((await verify()).body).toMatchObject({ integrity: { ok: true }, completeness: { ok: true } })
  })

  test('holds the policy against its records: a revision that no call has made is found', async () => {
    const other = await startService()
    onTestFinished(() => other.close())
    const key = await other.keyWith(['pdp:auditor'])
    const { db } = other.database
    const found = async () => (await other.ask('GET /v1/audit/verify', { key })).body.completeness
    expect(await eventually(found, ({ ok }) => ok)).toEqual({ ok: true })
    await sql`update tenants set revision = revision + 1 where id = 'default'`.execute(db)
    await sql`
      insert into policy_changes (tenant_id, revision, ordinal, revision_id, actor, kind, key, operation, after)
      select id, revision, 0, revision_id, '{"type": "service", "id": "admin"}', 'role', '{"name": "r"}', 'create', '{"name": "r"}'
      from tenants where id = 'default'`.execute(db)
    expect(await found()).toMatchObject({ ok: false, missing: [{ kind: 'policy' }] })
  })

  test('finds that all it had in a log is gone, though its other logs are whole', async () => {
    const database = await freshDatabase()
    onTestFinished(() => database.close())
    const keys = { VERDICT_ROOT_KEY: newKey(), VERDICT_ADMIN_KEY: newKey() }
    const env = { ...keys, VERDICT_MASTER_KEY: randomBytes(32).toString('base64') }
    const question = { subject: { type: 'user', id: 'a' }, action: { name: 'b' }, resource: { type: 'c', id: 'd' } }
    const first = await startService({ database, env })
    for (let n = 0; n < 3; n++) await first.ask('POST /v1/authorize', { body: question })
    await first.close()
    const second = await startService({ database, env })
    onTestFinished(() => second.close())
    await second.ask('POST /v1/authorize', { body: question })
    const key = await second.keyWith(['pdp:auditor'])
    const route = 'GET /v1/audit/verify?from=2026-01-01T00:00:00Z'
    const completeness = async () => (await second.ask(route, { key })).body.completeness
    const written = () =>
      sql<{ writer: string }>`select distinct writer from audit order by writer`.execute(database.db)
    const { rows } = await eventually(written, (found) => found.rows.length === 2)
    expect(await completeness()).toEqual({ ok: true })
    const deleted = await sql`delete from audit where writer = ${rows[0]?.writer}`.execute(database.db)
    expect(Number(deleted.numAffectedRows)).toBeGreaterThanOrEqual(3)
    expect(await completeness()).toMatchObject({ ok: false, missing: [{ kind: 'missing', writer: rows[0]?.writer }] })
  })

  test('finds nothing wrong in the operator’s trail where tenants came, were written in, and went', async () => {
    const key = service.rootKey
    await service.ask('POST /v1/tenants', { key, body: { id: 'brief', name: 'Brief' } })
    const subject = { type: 'user', id: 'w' }
    const headers = { 'verdict-tenant': 'brief' }
    await service.ask('POST /v1/api-keys', { key, headers, body: { name: 'k', subject, roles: ['pdp:admin'] } })
    expect((await service.ask('DELETE /v1/tenants/brief', { key })).status).toBe(204)
    const { body } = await service.ask('GET /v1/audit/verify', { key })
    expect(body).toMatchObject({ integrity: { ok: true }, completeness: { ok: true } })
  })

  test('misses the last record of a tenant, which nothing of its own comes after', async () => {
    const { body: tenant } = await service.ask('POST /v1/tenants', {
      key: service.rootKey,
      body: { id: 'quiet', name: 'Quiet' },
    })
    expect(tenant.id).toBe('quiet')
    await decide(50)
    await service.ask('GET /v1/audit?limit=1', { key: service.rootKey })
    const systemVerify = () => service.ask('GET /v1/audit/verify', { key: service.rootKey })
    expect((await systemVerify()).body.completeness).toEqual({ ok: true })
    await eventually(
      () =>
        sql<{
          n: number
        }>`select count(*) as n from audit where tenant_id = 'system' and type = 'audit_access'`.execute(
          service.database.db,
        ),
      ({ rows }) => (rows[0]?.n ?? 0) >= 2,
    )
    await decide(50)
    const gone = await asOwner((owner) =>
      owner.query(`delete from audit where tenant_id = 'system' and seq =
        (select max(seq) from audit where tenant_id = 'system') returning seq`),
    )
    expect(gone.rowCount).toBe(1)
    const { body } = await systemVerify()
    expect(body.completeness).toMatchObject({ ok: false, missing: [{ kind: 'missing', count: 1 }] })
  })
})
