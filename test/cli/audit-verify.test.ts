import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copiesFile } from '../../src/audit/seal/copies.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { temporaryDirectory } from '../audit/support.ts'
import { AUDIT_COLUMNS, type FreshDatabase, freshDatabase } from '../support/database.ts'
import { startService } from '../support/service.ts'
import { verdict } from './run.ts'

const DECISIONS = 40

let database: FreshDatabase
let owner: OpenDatabase
/** What the service left beside the database. */
let dataDir: string
let key: string

beforeAll(async () => {
  database = await freshDatabase()
  owner = openDatabase({ url: database.ownerUrl, size: 1, queryTimeout: 10_000 })
  dataDir = await mkdtemp(join(tmpdir(), 'verdict-verify-'))
  // Twice, so that there are two logs, each at its end.
  for (let start = 0; start < 2; start++) await decideAndStop()
  key = (await verdict(['audit', 'key'], { env: { DATABASE_URL: database.url } })).stdout.trim()
})

afterAll(async () => {
  await owner.close()
  await database.close()
  await rm(dataDir, { recursive: true, force: true })
})

const secrets = { VERDICT_MASTER_KEY: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64') }

async function decideAndStop(of = database, dir = dataDir): Promise<void> {
  const service = await startService({ database: of, env: { ...secrets, VERDICT_DATA_DIR: dir } })
  const body = { subject: { type: 'user', id: 'a' }, action: { name: 'x:y' }, resource: { type: 'x', id: '1' } }
  await Promise.all(Array.from({ length: DECISIONS }, () => service.ask('POST /v1/authorize', { body })))
  await service.close()
}

const verify = (...argv: string[]) => verdict(['audit', 'verify', ...argv], { env: { DATABASE_URL: database.url } })

async function file(name: string, text: string): Promise<string> {
  const path = join(dataDir, name)
  await writeFile(path, text)
  return path
}

/** Does what an attacker would, looks, and puts it back. */
async function attacked<T>(statements: readonly string[], look: () => Promise<T>): Promise<T> {
  const tables = ['audit', 'audit_writers', 'audit_tree', 'audit_checkpoints', 'audit_keys', 'tenants']
  const run = (statement: string) => sql.raw(statement).execute(owner.db)
  for (const table of tables) await run(`create table kept_${table} as select * from ${table}`)
  await run('set session_replication_role = replica')
  for (const statement of statements) {
    expect((await run(statement)).numAffectedRows ?? 0n).toBeGreaterThan(0n)
  }
  try {
    return await look()
  } finally {
    for (const table of tables) {
      await run(`delete from ${table}`)
      const columns = table === 'audit' ? AUDIT_COLUMNS : '*'
      await run(`insert into ${table} ${columns === '*' ? '' : `(${columns})`} select ${columns} from kept_${table}`)
      await run(`drop table kept_${table}`)
    }
  }
}

const EDIT = `update audit set record = record || ' ' where seq = 5`
const DELETE = 'delete from audit where seq = 7'
const ALL = ['audit', 'audit_writers', 'audit_tree', 'audit_checkpoints', 'audit_keys'].map(
  (table) => `delete from ${table}`,
)

describe('verdict audit verify', () => {
  test('says that all is sound, of how much, and what it was held against', async () => {
    const alone = await verify()
    expect(alone).toMatchObject({ status: 0, stderr: '' })
    expect(alone.stdout).toMatch(/^integrity {5}ok {6}\d+ records in 2 logs, under \d+ checkpoints\ncompleteness {2}ok/)
    expect(alone.stdout).toContain('no checkpoint kept elsewhere')
    const held = await verify('--checkpoint', copiesFile(dataDir), '--key', key)
    expect(held).toMatchObject({ status: 0, stderr: '' })
    expect(held.stdout).toMatch(/held against {2}\d+ checkpoints of /)
    expect(held.stdout).toContain(`of ${copiesFile(dataDir)}\n`)
  })

  test('takes the checkpoints of a data directory that is named', async () => {
    const env = { DATABASE_URL: database.url, VERDICT_DATA_DIR: dataDir }
    const { stdout } = await verdict(['audit', 'verify'], { env })
    expect(stdout).toMatch(/held against {2}\d+ checkpoints of /)
    expect(stdout).toContain(
      `${copiesFile(dataDir)}: that an older state was put back together with the data directory can not be told\n`,
    )
  })

  test('does not warn of the data directory where checkpoints of elsewhere stand beside its own', async () => {
    const env = { DATABASE_URL: database.url, VERDICT_DATA_DIR: dataDir }
    const elsewhere = join(await temporaryDirectory(), 'checkpoints.log')
    await cp(copiesFile(dataDir), elsewhere)
    const { stdout } = await verdict(['audit', 'verify', '--checkpoint', elsewhere], { env })
    expect(stdout).toContain(`checkpoints of ${elsewhere}\n`)
  })

  test('says it in JSON, too', async () => {
    const result = JSON.parse((await verify('--json', '--checkpoint', copiesFile(dataDir))).stdout)
    expect(result).toMatchObject({ integrity: { ok: true }, completeness: { ok: true }, pruned: 0, keys: [key] })
    expect(result.integrity.checked).toBeGreaterThan(2 * DECISIONS)
    expect(result.logs).toHaveLength(2)
    expect(result.outside_files).toEqual([copiesFile(dataDir)])
  })

  test('takes checkpoints as notes and as lines of a log, and a key from a file', async () => {
    const [line = ''] = (await readFile(copiesFile(dataDir), 'utf8')).split('\n')
    const { checkpoint } = JSON.parse(line)
    const notes = await file('notes.txt', `kept by hand:\n\n${checkpoint}\n`)
    const log = await file('verdict.log', `{"msg":"x"}\n{"level":"info",${line.slice(1)}\n`)
    const keys = await file('keys.txt', `${key}\n`)
    for (const path of [notes, log]) expect((await verify('--checkpoint', path, '--key', keys)).status).toBe(0)
  })

  test('says in its status what is broken, and names the record', async () => {
    const edited = await attacked([EDIT], () => verify())
    expect(edited.status).toBe(3)
    expect(edited.stdout).toMatch(/integrity {5}BROKEN/)
    expect(edited.stdout).toMatch(/changed: record [0-9a-f-]{36}, tenant \w+, log [0-9a-f-]{36} at 5: its bytes/)
    const deleted = await attacked([DELETE], () => verify('--json'))
    expect(deleted.status).toBe(4)
    expect(JSON.parse(deleted.stdout).completeness).toMatchObject({
      ok: false,
      missing: [{ seq: 7, count: 1 }, { seq: 7 }],
    })
    expect((await attacked([EDIT, DELETE], () => verify())).status).toBe(5)
    expect((await verify()).status).toBe(0)
  })

  test('misses a log that is gone with all that told of it, by what another log knew', async () => {
    const newest = '(select max(writer::text)::uuid from audit_writers)'
    const oldest = '(select min(writer::text)::uuid from kept_audit_writers)'
    const gone = (which: string) =>
      ['audit', 'audit_tree', 'audit_checkpoints', 'audit_writers'].map(
        (table) => `delete from ${table} where writer = ${which}`,
      )
    const lost = await attacked(gone(oldest), () => verify())
    expect(lost.status).toBe(4)
    expect(lost.stdout).toContain('log_missing')
    // Nor does it help to take it out of the list: what was signed is the hash of the list.
    const untold = `update audit_checkpoints set writers = '{"whole": true, "logs": []}'`
    const edited = await attacked([...gone(oldest), untold], () => verify())
    // What it held of changes of policy is missed too.
    expect(edited.status).toBe(5)
    expect(edited.stdout).toContain('is not the one that was signed')
    // Of the newest nobody else has heard but what was kept elsewhere, and the change log of what it held of changes.
    const newer = await attacked(gone(newest), () => verify())
    expect(newer.status).toBe(4)
    expect(newer.stdout).toMatch(/completeness {2}BROKEN\n(.*policy: .*\n)+held/)
    const held = await attacked(gone(newest), () => verify('--checkpoint', copiesFile(dataDir)))
    expect(held.status).toBe(4)
    expect(held.stdout).toContain('of which nothing is left')
  })

  test('finds out who deletes everything, the keys too, and says that there is nothing where nothing was', async () => {
    expect((await attacked(ALL, () => verify('--checkpoint', copiesFile(dataDir), '--key', key))).status).toBe(4)
    expect((await attacked(ALL, () => verify('--checkpoint', copiesFile(dataDir)))).status).toBe(5)
    const policy = await attacked(ALL, () => verify())
    expect(policy.status).toBe(4)
    expect(policy.stdout).toContain('revision 1 of the change log has no record in the trail')
    const nothing = await attacked([...ALL, 'delete from tenants'], () => verify())
    expect(nothing).toMatchObject({ status: 1, stdout: '' })
    expect(nothing.stderr).toContain('there is no audit trail in this database')
  })

  test('believes no signature of a key that is not the named one', async () => {
    const { stdout: other } = await verdict(['audit', 'key'], { env: { DATABASE_URL: await otherDatabase() } })
    const { status, stdout } = await verify('--key', other.trim())
    expect(status).toBe(3)
    expect(stdout).toContain('no key that is known has signed it')
  })

  test('looks at a tenant and a time only', async () => {
    const whole = JSON.parse((await verify('--json')).stdout).integrity.checked
    const tenant = JSON.parse((await verify('--json', '--tenant', 'default')).stdout).integrity.checked
    const future = JSON.parse((await verify('--json', '--from', '2999-01-01T00:00:00Z')).stdout)
    expect(tenant).toBeGreaterThanOrEqual(2 * DECISIONS)
    expect(tenant).toBeLessThan(whole)
    expect(future).toMatchObject({ integrity: { ok: true, checked: 0 }, completeness: { ok: true } })
    expect((await attacked([DELETE], () => verify('--tenant', 'default'))).status).toBe(4)
    // A record after a tenant's last one in a log may have been its own: nobody can tell it that it was not.
    const maybe = await attacked([DELETE], () => verify('--tenant', 'system'))
    expect(maybe.stdout).toContain('the others may be its own')
  })

  test('takes no tenant that nobody knows for a sound one', async () => {
    const typo = await verify('--tenant', 'defualt')
    expect(typo).toMatchObject({ status: 1, stdout: '' })
    expect(typo.stderr).toContain('there is no such tenant: defualt')
    expect((await verify('--tenant', 'defualt', '--from', '2026-01-01T00:00:00Z')).status).toBe(1)
    // It is known without a record of that time, and without a row of its own.
    expect((await verify('--tenant', 'default', '--from', '2999-01-01T00:00:00Z')).status).toBe(0)
    const forgotten = await attacked([`delete from tenants where id = 'default'`], () => verify('--tenant', 'default'))
    expect(forgotten.stdout).toMatch(/^integrity {5}ok {6}\d+ records/)
    // What is kept elsewhere tells more of a database that has nothing.
    const gone = [...ALL, 'delete from tenants']
    const wiped = await attacked(gone, () =>
      verify('--tenant', 'default', '--checkpoint', copiesFile(dataDir), '--key', key),
    )
    expect(wiped.status).toBe(4)
  })

  test('counts a log once that several tenants have records in', async () => {
    const { logs } = JSON.parse((await verify('--json', '--from', '2020-01-01')).stdout)
    expect(logs).toHaveLength(2)
  })

  test.each([
    ['no key', ['--key', 'verdict.audit/x+00000000+AAAA'], /is neither a public key/],
    ['no file', ['--checkpoint', '/nowhere/at/all'], /could not read/],
    ['no time', ['--from', '2026-11-23', '--to', '2026-11-01'], /--from must come before --to/],
    ['no instant', ['--from', 'yesterday'], /--from takes an RFC 3339 instant such as .*, not yesterday/],
    ['what only a browser takes for a date', ['--to', 'March 7 2030'], /--to takes an RFC 3339 instant/],
  ])('refuses what is %s', async (_what, argv, said) => {
    const { status, stderr } = await verify(...argv)
    expect(status).toBe(1)
    expect(stderr).toMatch(said)
  })

  test('refuses a file without a checkpoint, and a place without a database', async () => {
    const empty = await file('empty.log', 'nothing\n')
    expect((await verify('--checkpoint', empty)).stderr).toContain('holds no checkpoint')
    const { status, stderr } = await verdict(['audit', 'verify'], { env: { VERDICT_DATA_DIR: dataDir } })
    expect(status).toBe(1)
    expect(stderr).toContain('no embedded database in')
  })
})

describe('after verdict audit rotate-key', () => {
  let rotated: FreshDatabase
  let dir: string
  let keys: string[]
  /** After what the old key has sealed, before what the new one did. */
  let between: string

  beforeAll(async () => {
    rotated = await freshDatabase()
    dir = await mkdtemp(join(tmpdir(), 'verdict-rotated-'))
    const env = { ...secrets, DATABASE_URL: rotated.url }
    await decideAndStop(rotated, dir)
    between = new Date().toISOString()
    expect((await verdict(['audit', 'rotate-key'], { env })).status).toBe(0)
    await decideAndStop(rotated, dir)
    keys = (await verdict(['audit', 'key'], { env })).stdout.trim().split('\n')
  })

  afterAll(async () => {
    await rotated.close()
    await rm(dir, { recursive: true, force: true })
  })

  const by = async (key: string | undefined, ...argv: string[]) => {
    const env = { DATABASE_URL: rotated.url }
    return verdict(['audit', 'verify', '--key', key ?? '', ...argv], { env })
  }

  test('the first key proves all that it and the later ones have sealed', async () => {
    expect(keys).toHaveLength(2)
    const whole = await by(keys[1], '--checkpoint', copiesFile(dir))
    expect(whole.stdout).toMatch(/held against {2}\d+ checkpoints/)
    expect(whole.status).toBe(0)
  })

  test('the new one alone proves what was sealed since, and that only', async () => {
    expect((await by(keys[0])).status).toBe(3)
    expect((await by(keys[0], '--tenant', 'default')).status).toBe(3)
    const since = await by(keys[0], '--from', between)
    expect(since.stdout).toMatch(/^integrity {5}ok {6}\d\d+ records in 1 log,/)
    expect(since.status).toBe(0)
    // Nor can a checkpoint of the old key be held against anything.
    expect((await by(keys[0], '--from', between, '--checkpoint', copiesFile(dir))).status).toBe(3)
  })
})

let other: FreshDatabase | undefined

/** Another deployment's. */
async function otherDatabase(): Promise<string> {
  other = await freshDatabase()
  const service = await startService({ database: other })
  await service.close()
  return other.url
}

afterAll(() => other?.close())
