import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { verdict } from './run.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase('empty')
})
afterAll(() => database.close())

test('migrate makes the schema as the owner, gives the service its rights, and may be run again', async () => {
  const env = { DATABASE_URL: database.url, VERDICT_MIGRATE_DATABASE_URL: database.ownerUrl }
  const first = await verdict(['migrate'], { env })
  expect(first).toMatchObject({ status: 0, stderr: '' })
  expect(first.stdout).toContain('Ran 0001_foundation.')
  expect(await verdict(['migrate'], { env })).toEqual({ status: 0, stdout: 'The schema is up to date.\n', stderr: '' })
  expect(await database.service.selectFrom('tenants').select('id').execute()).toEqual([])
  await expect(database.service.deleteFrom('audit').execute()).rejects.toThrow('permission denied')
})

test('a database that does not answer is told in one line', async () => {
  const { status, stdout, stderr } = await verdict(['migrate'], {
    env: { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/x' },
  })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(/^verdict: could not migrate: .*ECONNREFUSED.*\n$/)
})
