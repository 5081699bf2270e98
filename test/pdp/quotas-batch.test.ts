import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Semantic } from '../../src/contract/batch.ts'
import { Quotas } from '../../src/pdp/quotas.ts'
import type { Pdp, Trail } from '../../src/pdp.ts'
import type { Quota } from '../../src/policy/quota.ts'
import { FakeDatabase } from '../snapshot/support.ts'
import { asking, pdpOver, Table } from './support.ts'

// What the items of a batch lack of their counters is reserved together, and comes to the same as if it was not.

const created = { operation: 'create', before: null } as const
const about = { subjects: [{ any: true as const }], actions: ['*'], resources: [{ type: 'doc' }] }
const trail: Trail = { record: async () => 1, recordAll: async () => 1, committed: async () => {} }

interface Replica {
  readonly pdp: Pdp
  readonly quotas: Quotas
}

const clock = { now: Date.UTC(2030, 0, 1) }

/** Everything is allowed but what `bob` asks for. */
function replica(table: Table, members: readonly Partial<Quota>[]): Replica {
  const database = new FakeDatabase()
  const bob = { ...about, subjects: [{ type: 'user', id: 'bob' }] }
  database.tenant('acme').write(
    { kind: 'rule', key: { name: 'r' }, ...created, after: { name: 'r', effect: 'allow', ...about } },
    { kind: 'rule', key: { name: 'not-bob' }, ...created, after: { name: 'not-bob', effect: 'deny', ...bob } },
    ...members.map((more, n) => {
      const after: Quota = { name: `q${n}`, limit: 1, window_seconds: 86_400, ...about, ...more }
      return { kind: 'quota' as const, key: { name: after.name }, ...created, after }
    }),
  )
  const quotas = new Quotas({ store: table, masterKey: Buffer.alloc(32), clock: () => clock.now })
  return { pdp: pdpOver(database, { trail, clock: () => clock.now, quotas }), quotas }
}

const item = (resource: string, subject = 'ann', units = 1) => ({
  request: {
    subject: { type: 'user', id: subject },
    action: { name: 'x' },
    resource: { type: 'doc', id: resource },
    context: { requested: { units } },
  },
})
const docs = (count: number) => Array.from({ length: count }, (_, n) => item(`d${n}`))

async function decisions({ pdp }: Replica, items: ReturnType<typeof docs>, semantic: Semantic = 'execute_all') {
  const { answers } = await pdp.evaluateAll(asking(), { items, semantic })
  return answers.all().map(({ decision }) => decision)
}

test.each([
  ['one quota', [{}]],
  ['two quotas of the resource', [{}, { window_seconds: 3_600 }]],
  ['one of the subject besides', [{}, { per: 'subject' as const, limit: 10_000 }]],
])('resources that are asked about together wait for the database together: %s', async (_, members) => {
  const table = new Table()
  const one = replica(
    table,
    members.map((more) => ({ per: 'resource', ...more })),
  )
  expect(await decisions(one, docs(200))).toEqual(Array(200).fill(true))
  expect(table.statements).toBeLessThan(60)
  await one.quotas.close()
  expect(table.reserved).toBe(200 * members.length)
})

test('what is asked for twice is given to the first', async () => {
  const one = replica(new Table(), [{ per: 'resource', limit: 2 }])
  const items = [...docs(3), ...docs(3), ...docs(3), ...docs(5)]
  expect(await decisions(one, items)).toEqual([...Array(6).fill(true), ...Array(6).fill(false), true, true])
})

test('nothing is reserved for those that another counter of many has nothing left for', async () => {
  const table = new Table()
  const one = replica(table, [{ per: 'resource' }, { per: 'subject', limit: 5 }])
  expect(await decisions(one, docs(100))).toEqual([...Array(5).fill(true), ...Array(95).fill(false)])
  // Five of each, and the one that found out.
  expect(table.reserved).toBeLessThanOrEqual(11)
})

test('of a counter that many have in common no more is reserved for items that another counter denies', async () => {
  const table = new Table()
  const members = [{ per: 'tenant', limit: 40 }, { per: 'resource' }] as const
  const [one, two] = [replica(table, members), replica(table, members)]
  expect(await decisions(one, docs(20))).toEqual(Array(20).fill(true))
  clock.now += 1_500
  await one.quotas.sweep()
  expect(await decisions(one, [item('e0')])).toEqual([true])
  clock.now += 200
  expect(await decisions(one, docs(20))).toEqual(Array(20).fill(false))
  expect(table.reserved).toBeLessThanOrEqual(2 * 21 + 2)
  expect(await decisions(two, [item('f0')])).toEqual([true])
})

test('nothing is reserved for what the rules deny', async () => {
  const table = new Table()
  const items = [item('d0'), ...Array.from({ length: 50 }, (_, n) => item(`e${n}`, 'bob')), item('d1')]
  await decisions(replica(table, [{ per: 'resource' }]), items)
  expect(table.reserved).toBe(2)
})

test.each([
  ['deny_on_first_deny' as const, [item('d0'), item('d0', 'bob'), item('d1'), item('d2')], 1],
  ['deny_on_first_deny' as const, [item('d0'), item('d0'), item('d1'), item('d2')], 1],
  ['permit_on_first_permit' as const, docs(4), 1],
])('nothing is reserved for items that are never reached: %s', async (semantic, items, reserved) => {
  const table = new Table()
  await decisions(replica(table, [{ per: 'resource' }]), items, semantic)
  expect(table.reserved).toBe(reserved)
})

test('of a batch that fails all goes back, and nothing of it is waited for any more', async () => {
  const table = new Table()
  const one = replica(table, [{ per: 'resource', limit: 2 }])
  const failing = decisions(one, [...docs(3), ...docs(4)])
  while (table.statements === 0) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  table.isAway = true
  await expect(failing).rejects.toMatchObject({ code: 'quota_unavailable' })
  table.isAway = false
  clock.now += 2_000
  await one.quotas.sweep()
  expect(table.reserved).toBe(0)
  expect(await decisions(one, docs(4))).toEqual(Array(4).fill(true))
  expect(table.reserved).toBe(4)
})

test('each item gets what it would get if those before it were asked alone', async () => {
  const asked = fc.record({ resource: fc.nat(6), units: fc.nat(3) })
  const limits = fc.record({ resource: fc.integer({ min: 1, max: 6 }), tenant: fc.integer({ min: 1, max: 40 }) })
  const batches = fc.array(fc.array(asked, { minLength: 1, maxLength: 25 }), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(limits, batches, async (limit, all) => {
      const one = replica(new Table(), [
        { per: 'resource', limit: limit.resource, cost: 'units' },
        { per: 'tenant', limit: limit.tenant, cost: 'units' },
      ])
      const left = new Map<number, number>()
      let leftOfAll = limit.tenant
      const alone = ({ resource, units }: { resource: number; units: number }) => {
        const has = left.get(resource) ?? limit.resource
        if (units > has || units > leftOfAll) return false
        left.set(resource, has - units)
        leftOfAll -= units
        return true
      }
      for (const batch of all) {
        const items = batch.map(({ resource, units }) => item(`d${resource}`, 'ann', units))
        expect(await decisions(one, items)).toEqual(batch.map(alone))
        await one.quotas.sweep()
        clock.now += 700
      }
    }),
    { numRuns: 60 },
  )
})

test('of any batches at any replicas, no counter is above its limit, and in the end nothing is held', async () => {
  const batch = fc.record({
    at: fc.nat(1),
    resources: fc.array(fc.nat(8), { minLength: 1, maxLength: 25 }),
    semantic: fc.constantFrom<Semantic>('execute_all', 'deny_on_first_deny', 'permit_on_first_permit'),
    sweeps: fc.boolean(),
  })
  const limits = fc.record({ resource: fc.integer({ min: 1, max: 4 }), tenant: fc.integer({ min: 1, max: 40 }) })
  await fc.assert(
    fc.asyncProperty(limits, fc.array(fc.array(batch, { maxLength: 4 }), { maxLength: 4 }), async (limit, rounds) => {
      clock.now = Date.UTC(2030, 0, 1)
      const table = new Table()
      const members = [
        { per: 'resource', limit: limit.resource } as const,
        { per: 'tenant', limit: limit.tenant } as const,
      ]
      const replicas = [replica(table, members), replica(table, members)]
      const taken = new Map<number, number>()
      for (const round of rounds) {
        await Promise.all(
          round.map(async ({ at, resources, semantic, sweeps }) => {
            const one = replicas[at]
            if (one === undefined) return
            const answering = decisions(
              one,
              resources.map((n) => item(`d${n}`)),
              semantic,
            )
            if (sweeps) await one.quotas.sweep()
            for (const [place, decision] of (await answering).entries()) {
              const resource = resources[place] ?? 0
              if (decision) taken.set(resource, (taken.get(resource) ?? 0) + 1)
            }
          }),
        )
        clock.now += 700
      }
      for (const units of taken.values()) expect(units).toBeLessThanOrEqual(limit.resource)
      const all = [...taken.values()].reduce((sum, units) => sum + units, 0)
      expect(all).toBeLessThanOrEqual(limit.tenant)
      for (const { quotas } of replicas) await quotas.close()
      expect(table.reserved).toBe(2 * all)
    }),
    { numRuns: 40 },
  )
})
