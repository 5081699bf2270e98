import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bounded } from '../../src/store/audit-filter.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let database: FreshDatabase
let hurried: OpenDatabase

beforeAll(async () => {
  database = await freshDatabase('empty')
  hurried = openDatabase({ url: database.url, queryTimeout: 3_000, connectTimeout: 10_000 })
})
afterAll(async () => {
  await hurried.close()
  await database.close()
})

test('a question that takes too long is the asker’s to make smaller; the database is well', async () => {
  await expect(bounded(sql`select pg_sleep(60)`.execute(hurried.db))).rejects.toMatchObject({
    code: 'unprocessable',
    problems: [{ pointer: '/from' }],
  })
  await bounded(sql`select 1`.execute(hurried.db))
})

test('whatever else goes wrong stays what it is', async () => {
  await expect(bounded(sql`select nonsense`.execute(hurried.db))).rejects.toThrow('nonsense')
})
