import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, eventually, newKey, type Reply } from '../support/service.ts'

// Secrets are put into every credential, header and property that the tenant drops; then everything that the built
// program writes or answers is searched for them.

const SECRET = 'cANARY0123456789abcdefghijklmnop'
const KEY = `vdt_canary01_${SECRET}`
const JWT = `eyJhbGciOiJFZERTQSJ9.${SECRET}.${SECRET}`
/** Put where nothing hides it: the search must find it. */
const OPEN = 'oPEN0123456789abcdefghijklmnop'

const REDACTION = {
  'subject.properties.ssn': 'drop',
  'action.properties.note': 'drop',
  'resource.properties.secret': 'drop',
  context: 'drop',
  user_agent: 'drop',
}

const HEADERS = {
  cookie: `session=${SECRET}`,
  'proxy-authorization': `Basic ${SECRET}`,
  'x-api-key': SECRET,
  'user-agent': `agent ${SECRET}`,
  'x-forwarded-for': SECRET,
}

const DROPPED = {
  subject: { type: 'user', id: 'eve', properties: { ssn: SECRET, open: OPEN } },
  action: { name: 'read', properties: { note: [SECRET] } },
  resource: { type: 'document', id: '1', properties: { secret: { deep: { [SECRET]: SECRET } } } },
  context: { session: SECRET, [SECRET]: 1 },
}

/** Nothing of it may be seen: nobody may see this document. */
const RECORD = {
  subject: { type: 'user', id: 'eve' },
  action: { name: 'read' },
  resource: { type: 'document', id: '1' },
  record: { ssn: SECRET, deep: [{ [SECRET]: SECRET }] },
}

let database: FreshDatabase
let dataDir: string
let verdict: Running
const adminKey = newKey()
const rootKey = newKey()

beforeAll(async () => {
  database = await freshDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'verdict-canary-'))
  verdict = await startProcess({
    DATABASE_URL: database.url,
    VERDICT_DATA_DIR: dataDir,
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
    VERDICT_ROOT_KEY: rootKey,
    VERDICT_ADMIN_KEY: adminKey,
    VERDICT_PUBLIC_URL: 'https://verdict.test',
    LOG_LEVEL: 'trace',
  })
})

afterAll(async () => {
  await stopProcess(verdict)
  await rm(dataDir, { recursive: true, force: true })
  await database.close()
})

const ask = (route: string, body?: unknown, key: string | null = adminKey, more = {}) =>
  askAt(verdict.url, route, key, body, { ...HEADERS, ...more })

test('no secret that was put into a credential, a header or a dropped property is anywhere', async () => {
  // A refused credential that names no tenant is recorded in `system`, as its settings say.
  for (const key of [adminKey, rootKey]) {
    expect((await ask('PUT /v1/settings', { redaction: REDACTION }, key)).status).toBe(200)
  }
  const replies: Reply[] = [
    await ask('POST /v1/authorize', DROPPED),
    await ask('POST /v1/authorize', DROPPED, KEY),
    await ask('POST /v1/authorize', DROPPED, JWT),
    await ask('POST /v1/authorize', DROPPED, `${adminKey}${SECRET}`),
    await ask('POST /v1/authorize', { ...DROPPED, subject: SECRET.length }),
    await ask('POST /v1/authorize', `{"context":{"x":"${SECRET}"}`),
    await ask('POST /v1/authorize', SECRET),
    await ask('POST /v1/mask', RECORD),
    await ask('POST /v1/mask', { ...RECORD, others: SECRET.length }),
    await ask('POST /v1/mask', { ...RECORD, record: SECRET }),
    await ask('POST /v1/authenticate', { method: 'api_key', api_key: KEY }, null),
    await ask('POST /v1/authenticate', { method: 'password', password: SECRET, tenant: 'default' }, null),
    await ask('POST /v1/authenticate', { method: 'api_key', api_key: KEY, password: SECRET }, null),
    await ask(`GET /v1/audit?api_key=${SECRET}&cursor=${SECRET}`),
    await ask(`GET /v1/audit?subject_id=${KEY}&trace_id=${JWT}`),
    await ask(`GET /v1/rules/${KEY}`, undefined, adminKey, { 'verdict-reason': KEY }),
    await ask(`PUT /v1/rules/${KEY}`, {}, adminKey, { 'verdict-reason': JWT, 'idempotency-key': 'one' }),
    await ask('DELETE /v1/entities/user/nobody', undefined, adminKey, { traceparent: SECRET, 'if-match': SECRET }),
    await ask('GET /metrics', undefined, null),
    await ask('GET /readyz', undefined, null),
  ]
  await ask('POST /v1/authorize/explain', DROPPED)
  await ask('GET /v1/settings', undefined, adminKey, { 'x-request-id': 'last' })
  await eventually(
    async () => (await ask('GET /v1/audit?request_id=last')).body.items,
    (items) => items.length > 0,
  )

  const places = {
    tables: await dump(),
    journal: await journals(),
    log: verdict.output(),
    answers: JSON.stringify(replies.map(({ body }) => body)),
  }
  expect(places.log).not.toBe('')
  for (const place of [places.tables, places.journal]) expect(around(place, OPEN)).not.toBe('')
  for (const [place, text] of Object.entries(places)) expect([place, around(text, SECRET)]).toEqual([place, ''])
})

/** Where it stands in the text; '' where it does not. Not the whole text, which is long. */
function around(text: string, wanted: string): string {
  const at = text.indexOf(wanted)
  return at === -1 ? '' : text.slice(Math.max(0, at - 300), at + 100)
}

/** Every table of the database as text; records as what their bytes say. */
async function dump(): Promise<string> {
  const { db, close } = openDatabase({ url: database.ownerUrl, queryTimeout: 10_000 })
  try {
    const { rows } = await sql<{ name: string }>`
      select c.relname as name from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`.execute(db)
    const texts = rows.map(async ({ name }) => {
      const row = name === 'audit' ? sql`t::text || convert_from(record, 'UTF8')` : sql`t::text`
      const { rows } = await sql<{ text: string | null }>`
        select string_agg(${row}, E'\n') as text from ${sql.table(name)} t`.execute(db)
      return rows[0]?.text ?? ''
    })
    return (await Promise.all(texts)).join('\n')
  } finally {
    await close()
  }
}

async function journals(): Promise<string> {
  const found = await readdir(dataDir, { recursive: true, withFileTypes: true })
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n')
}
