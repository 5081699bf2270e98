import { beforeEach, expect, test } from 'vitest'
import { Failure } from '../../src/failure.ts'
import { Quotas } from '../../src/pdp/quotas.ts'
import type { Pdp, Trail } from '../../src/pdp.ts'
import type { Granted, Reservation } from '../../src/store/quota-counters.ts'
import { FakeDatabase } from '../snapshot/support.ts'
import { asking, pdpOver } from './support.ts'

// A decision that is not given has taken nothing: a trail that keeps no record, over a block of units that is in hand.

const LIMIT = 1000
const created = { operation: 'create', before: null } as const
const about = { subjects: [{ any: true as const }], actions: ['*'], resources: [{ type: 'doc' }] }

/** What it keeps: `record` is whether the journal does, `commit` whether Postgres has it in time. */
const kept = { record: true, commit: true }
const trail: Trail = {
  record: async () => seqOf('record'),
  recordAll: async () => seqOf('record'),
  committed: async () => void seqOf('commit'),
}

function seqOf(what: keyof typeof kept): number {
  if (kept[what]) return 1
  throw new Failure('audit_unavailable', 'the record is not kept')
}

let pdp: Pdp
let quotas: Quotas

beforeEach(() => {
  Object.assign(kept, { record: true, commit: true })
  const database = new FakeDatabase()
  database.tenant('acme').write(
    { kind: 'settings', key: null, ...created, after: { audit_mode: 'commit' } },
    { kind: 'rule', key: { name: 'r' }, ...created, after: { name: 'r', effect: 'allow', ...about } },
    {
      kind: 'quota',
      key: { name: 'q' },
      ...created,
      after: { name: 'q', limit: LIMIT, window_seconds: 86_400, per: 'tenant', ...about },
    },
  )
  let reserved = 0
  const reserve = async (_tenant: string, asked: readonly Reservation[]): Promise<Granted[]> =>
    asked.map(({ quota, counter }) => {
      const granted = Math.min(100, LIMIT - reserved)
      reserved += granted
      return { quota, counter, granted, reserved }
    })
  const clock = () => Date.UTC(2030, 0, 1)
  quotas = new Quotas({ store: { reserve, handBack: async () => {} }, masterKey: Buffer.alloc(32), clock })
  pdp = pdpOver(database, { trail, clock, quotas })
})

const question = { subject: { type: 'user', id: 'a' }, action: { name: 'x' }, resource: { type: 'doc', id: '1' } }
const remaining = async () => (await pdp.evaluate(asking(), question)).context.quotas?.[0]?.remaining

test('a decision whose record is not kept gives its units back', async () => {
  expect(await remaining()).toBe(LIMIT - 1)
  kept.record = false
  for (let n = 0; n < 3; n++) await expect(pdp.evaluate(asking(), question)).rejects.toThrow('not kept')
  kept.record = true
  expect(await remaining()).toBe(LIMIT - 2)
})

test('so do all items of a batch', async () => {
  expect(await remaining()).toBe(LIMIT - 1)
  const batch = { items: Array(7).fill({ request: question }), semantic: 'execute_all' as const }
  kept.record = false
  await expect(pdp.evaluateAll(asking(), batch)).rejects.toThrow('not kept')
  kept.record = true
  expect(await remaining()).toBe(LIMIT - 2)
  expect((await pdp.evaluateAll(asking(), batch)).decision).toBe(true)
  expect(await remaining()).toBe(LIMIT - 10)
})

test('one whose record is kept has taken them, whoever heard of it: they can be given back by it', async () => {
  expect(await remaining()).toBe(LIMIT - 1)
  kept.commit = false
  await expect(pdp.evaluate(asking(), question)).rejects.toThrow('not kept')
  kept.commit = true
  expect(await remaining()).toBe(LIMIT - 3)
})
