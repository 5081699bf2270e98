import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { limited } from '../../src/store/limited.ts'
import { ahead, PageSize } from '../../src/store/pages.ts'
import { snapshotSource } from '../../src/store/snapshot.ts'
import { freshDatabase } from '../support/database.ts'

test('a page that the database does not bring in time is asked for again, smaller, and pages grow no more than that', async () => {
  const database = await freshDatabase()
  const { db, close } = openDatabase({ url: database.url, size: 1, queryTimeout: 300, connectTimeout: 5000 })
  const asked: number[] = []
  // Each row takes 1 ms.
  const page = (rows: number) => {
    asked.push(rows)
    return sql`select pg_sleep(${rows * 0.001}::float)`.execute(db)
  }
  const size = new PageSize(1000, 2000)
  await size.read(page)
  expect(asked.slice(0, 2)).toEqual([1000, 125])
  await close()
  await database.close()
})

test('a failure of another kind, or of a single row, is one', async () => {
  const size = new PageSize(8, 8)
  const asked: number[] = []
  const failing = (rows: number) => {
    asked.push(rows)
    return Promise.reject(new Error('away'))
  }
  await expect(size.read(failing)).rejects.toThrow('away')
  expect(asked).toEqual([8])
})

test('a tenant of documents so large that a page of them is cut comes whole', async () => {
  const database = await freshDatabase()
  const { db } = database
  await sql`insert into tenants (id, name) values ('t', 't')`.execute(db)
  // What does not compress: 40 rules of 100,000 characters, and one of many more than a page has.
  const noise = (count: number) =>
    sql`(select string_agg(md5(n::text || i), '') from generate_series(1, ${count}::int) i)`
  await sql`insert into rules (tenant_id, name, policy, effect, body)
    select 't', 'r' || n, 'default', 'allow', jsonb_build_object('description', ${noise(3000)})
    from generate_series(1, 40) n`.execute(db)
  await sql`insert into rules (tenant_id, name, policy, effect, body)
    select 't', 'r10a', 'default', 'allow', jsonb_build_object('description', ${noise(50_000)})
    from generate_series(1, 1) n`.execute(db)
  await sql`insert into entities (tenant_id, type, id, properties)
    select 't', 'user', 'u' || n, jsonb_build_object('x', ${noise(3000)}) from generate_series(1, 40) n`.execute(db)
  const source = snapshotSource(db)
  const pages: { names: string[]; characters: number }[] = []
  for await (const part of source.policy('t')) {
    const characters = part.reduce((sum, { text }) => sum + text.length, 0)
    if (part.length > 0) pages.push({ names: part.map(({ name }) => name), characters })
  }
  expect(pages.flatMap(({ names }) => names)).toHaveLength(41)
  expect(new Set(pages.flatMap(({ names }) => names)).size).toBe(41)
  for (const { names, characters } of pages) expect(names.length === 1 || characters < 3_000_000).toBe(true)
  expect(pages.length).toBeGreaterThan(3)
  const entities: string[] = []
  for await (const part of source.entities('t')) for (const { id } of part) entities.push(id)
  expect(entities).toHaveLength(40)
  await database.close()
})

test('only so much is under way at a time, and what waits comes in order', async () => {
  const run = limited(2)
  let underway = 0
  let most = 0
  const order: number[] = []
  const works = Array.from({ length: 10 }, (_, place) =>
    run(async () => {
      most = Math.max(most, ++underway)
      await new Promise((resolve) => setImmediate(resolve))
      underway--
      order.push(place)
      if (place === 3) throw new Error('one fails')
      return place
    }).catch(() => -1),
  )
  expect(await Promise.all(works)).toEqual([0, 1, 2, -1, 4, 5, 6, 7, 8, 9])
  expect([most, order]).toEqual([2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
})

test('what is read ahead is one page, and a reader that stops lets go of it', async () => {
  let made = 0
  let closed = false
  async function* pages() {
    try {
      for (;;) yield made++
    } finally {
      closed = true
    }
  }
  const seen: number[] = []
  for await (const page of ahead(pages())) {
    seen.push(page)
    expect(made - page).toBeLessThanOrEqual(2)
    if (page === 3) break
  }
  expect([seen, closed]).toEqual([[0, 1, 2, 3], true])
})
