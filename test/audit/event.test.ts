import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event } from './support.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

async function asJsonb(text: string): Promise<unknown> {
  const { rows } = await sql<{ value: unknown }>`
    select convert_from(${Buffer.from(text)}, 'UTF8')::jsonb as value
  `.execute(database.db)
  return rows[0]?.value
}

test('Postgres can read every event, whatever its context holds', async () => {
  const anyText = fc.string({ unit: 'binary', maxLength: 20 })
  const loneSurrogates = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map((units) => {
    return String.fromCharCode(...units.map((unit) => (unit % 3 === 0 ? 0xd800 + (unit % 0x800) : unit % 0x80)))
  })
  const text = fc.oneof(anyText, loneSurrogates, fc.constantFrom('\0', '\\u0000', '\\\0', '\\\\\ud800', '"\udfff'))
  const context = fc.dictionary(text, fc.oneof(text, fc.double(), fc.array(text)))
  await fc.assert(
    fc.asyncProperty(context, text, async (facts, agent) => {
      await asJsonb(encodeEvent(event({ context: facts, user_agent: agent })))
    }),
    { numRuns: 200 },
  )
})

test('what Postgres can not hold is recorded as the escape that spells it, all else as it is', () => {
  const context = { a: 'x\0y', b: '\ud800', c: '\ud83d\ude00', d: '\\u0000', e: '\\\0', f: '\u0001\n"', '\udc00': 1 }
  expect(JSON.parse(encodeEvent(event({ context }))).context).toEqual({
    a: 'x\\u0000y',
    b: '\\ud800',
    c: '\ud83d\ude00',
    d: '\\u0000',
    e: '\\\\u0000',
    f: '\u0001\n"',
    '\\udc00': 1,
  })
})
