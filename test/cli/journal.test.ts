import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { event, temporaryDirectory } from '../audit/support.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { startService } from '../support/service.ts'
import { verdict } from './run.ts'

const masterKey = randomBytes(32).toString('base64')
let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

const ship = (dir: string, ...more: string[]) =>
  verdict(['journal', 'ship', dir, ...more], { env: { DATABASE_URL: database.url, VERDICT_MASTER_KEY: masterKey } })

/** A data directory as a process that was killed leaves it. */
async function orphan(count: number): Promise<{ dir: string; writer: string; ids: string[] }> {
  const dir = await temporaryDirectory()
  const journal = await Journal.open({ root: join(dir, 'journal'), fsync: 'off', segmentBytes: 2000 })
  const events = Array.from({ length: count }, () => event())
  for (const each of events) await journal.append('acme', encodeEvent(each))
  await journal.close()
  return { dir, writer: journal.writer, ids: events.map(({ id }) => id) }
}

async function kept(writer: string): Promise<string[]> {
  const rows = await database.db.selectFrom('audit').select('id').where('writer', '=', writer).orderBy('seq').execute()
  return rows.map(({ id }) => id)
}

test.each([
  ['a data directory', () => ''],
  ['the folder of its journals', () => 'journal'],
  ['the folder of one writer', (writer: string) => join('journal', writer)],
])('an orphaned journal is shipped, given as %s: each record once, however often it is run', async (_what, within) => {
  const { dir, writer, ids } = await orphan(25)
  const path = join(dir, within(writer))
  const first = await ship(path, '--json')
  expect(first).toMatchObject({ status: 0, stderr: '' })
  expect(JSON.parse(first.stdout)).toEqual({ logs: [{ writer, records: 25, shipped: 25, complete: true }] })
  expect(await kept(writer)).toEqual(ids)
  const again = await ship(path)
  expect(again).toEqual({
    status: 0,
    stdout: `${writer}: 25 of 25 records are in the database, 0 of them by this run\n`,
    stderr: '',
  })
  expect(await kept(writer)).toEqual(ids)
  expect(await readdir(join(dir, 'journal'))).toEqual([writer])
})

test('a torn last write is no record, and no reason to complain of the exit status', async () => {
  const { dir, writer, ids } = await orphan(3)
  const [file = ''] = await readdir(join(dir, 'journal', writer))
  const path = join(dir, 'journal', writer, file)
  await writeFile(path, Buffer.concat([await readFile(path), Buffer.from([9, 0, 0, 0, 1, 2, 3])]))
  const { status, stderr } = await ship(dir)
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: 'verdict: the last write of a dead process was not finished\n',
  })
  expect(await kept(writer)).toEqual(ids)
})

test('a damaged journal is shipped up to the damage, which is named, with status 1', async () => {
  const { dir, writer, ids } = await orphan(20)
  const [, second = ''] = (await readdir(join(dir, 'journal', writer))).sort()
  const path = join(dir, 'journal', writer, second)
  const bytes = await readFile(path)
  await writeFile(path, bytes.subarray(0, bytes.length - 3))
  const { status, stdout } = await ship(dir)
  expect(status).toBe(1)
  expect(stdout).toMatch(/damaged: \d+ records were shipped, records (\d+) to \1 can't be read in .*\.log/)
  const found = await kept(writer)
  expect(found.length).toBeGreaterThan(0)
  expect(found).toEqual(ids.slice(0, found.length))
})

test('a record that the database refuses ends it, with status 1 and what stands before it shipped', async () => {
  const dir = await temporaryDirectory()
  const journal = await Journal.open({ root: join(dir, 'journal'), fsync: 'off' })
  for (let n = 0; n < 5; n++) await journal.append('acme', encodeEvent(event()))
  await journal.append('acme', '{"id":"no uuid"}')
  await journal.close()
  const { status, stdout } = await ship(dir)
  expect(status).toBe(1)
  expect(stdout).toBe(`${journal.writer}: not all records are in the database; 5 were shipped by this run\n`)
})

describe('a journal whose process lives', () => {
  test('is refused, and so is a copy of it', async () => {
    const service = await startService({ database, env: { VERDICT_MASTER_KEY: masterKey } })
    try {
      const inUse = await ship(service.dataDir)
      expect(inUse.status).toBe(1)
      expect(inUse.stderr).toMatch(/is in use by another Verdict process\.\n$/)
      const copy = await temporaryDirectory()
      await cp(join(service.dataDir, 'journal'), join(copy, 'journal'), { recursive: true })
      const copied = await ship(copy)
      expect(copied.status).toBe(1)
      expect(copied.stderr).toContain('the process that writes this journal lives')
    } finally {
      await service.close()
    }
  })
})

test.each([
  ['a folder that is not there', () => '/nowhere/at/all', /^verdict: \/nowhere\/at\/all is no folder\n$/],
  ['a folder without a journal', () => import.meta.dirname, /holds no journal\n$/],
])('%s is told in one line', async (_what, dir, message) => {
  const { status, stdout, stderr } = await ship(dir())
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(message)
})

test('a database that does not answer is told in one line', async () => {
  const { dir } = await orphan(1)
  const env = { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/x', VERDICT_MASTER_KEY: masterKey }
  const { status, stderr } = await verdict(['journal', 'ship', dir], { env })
  expect(status).toBe(1)
  expect(stderr).toMatch(/^verdict: could not connect to the database: .*\n$/)
})
