import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Made } from '../../src/pdp/answer.ts'
import { Quotas } from '../../src/pdp/quotas.ts'
import { DEFAULT_SETTINGS } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { type Quota, windowAt } from '../../src/policy/quota.ts'
import type { CompiledQuota } from '../../src/policy/quota-index.ts'
import { Table } from './support.ts'

const HOUR = 3_600

const compiledIn = new PolicyIndex()
function compiled(members: Partial<Quota>): CompiledQuota {
  const name = members.name ?? 'q'
  const about = { subjects: [{ any: true as const }], actions: ['*'], resources: [{ type: '*' }] }
  const after: Quota = { name, ...about, limit: 10, window_seconds: HOUR, ...members }
  compiledIn.apply({ kind: 'quota', key: { name }, operation: 'create', before: null, after })
  const found = compiledIn.quotas.named(name)
  if (found === undefined) throw new Error('it was put there')
  return found
}

function made(quota: CompiledQuota, units = 1, id = 'ann'): Made {
  const { name, limit } = quota
  return {
    decision: {
      decision: true,
      reason: 'allowed_by_rule',
      rules: ['default/r'],
      obligations: [],
      quotas: [{ name, limit, remaining: null, reset_at: null, units }],
      taking: { draws: [{ quota, type: 'user', id, units }], refused: [{ id: 'told', type: 'tell' }] },
    },
    revision: 1,
    settings: DEFAULT_SETTINGS,
    warnings: [],
    proof: undefined,
    presented: undefined,
  }
}

const clock = { now: 0 }
beforeEach(() => {
  clock.now = Date.UTC(2030, 0, 1)
})
const masterKey = Buffer.alloc(32, 7)
const replica = (table: Table) => new Quotas({ store: table, masterKey, clock: () => clock.now })

/** What is under way in the background has come. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('of any number of decisions at any number of replicas, no more than the limit are allowed, and in the end all', async () => {
  const step = fc.record({
    at: fc.nat(2),
    calls: fc.integer({ min: 1, max: 20 }),
    units: fc.integer({ min: 0, max: 3 }),
    sweeps: fc.boolean(),
    ms: fc.nat(1500),
    gives_back: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 200 }), fc.array(step, { maxLength: 30 }), async (limit, steps) => {
      clock.now = Date.UTC(2030, 0, 1)
      const table = new Table()
      const quota = compiled({ limit })
      const replicas = [replica(table), replica(table), replica(table)]
      let taken = 0
      for (const { at, calls, units, sweeps, ms, gives_back } of steps) {
        clock.now += ms
        const quotas = replicas[at]
        if (quotas === undefined) continue
        if (sweeps) await quotas.sweep()
        const all = await Promise.all(Array.from({ length: calls }, () => quotas.draw('acme', made(quota, units))))
        for (const one of all) {
          if (one.decision.decision) taken += units
          if (gives_back && one.taken !== undefined) {
            quotas.giveBack(one)
            taken -= units
          }
        }
        expect(taken).toBeLessThanOrEqual(table.reserved)
        expect(table.reserved).toBeLessThanOrEqual(limit)
      }
      for (const quotas of replicas) await quotas.close()
      expect(table.reserved).toBe(taken)
      clock.now += 200
      const last = replica(table)
      const rest = await Promise.all(Array.from({ length: limit + 1 }, () => last.draw('acme', made(quota))))
      expect(rest.filter(({ decision }) => decision.decision).length).toBe(limit - taken)
    }),
    { numRuns: 60 },
  )
})

describe('a block', () => {
  test('is taken from without waiting, and the next one is there before it is spent', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 100_000 })
    await quotas.draw('acme', made(quota))
    let waited = 0
    for (let n = 0; n < 1000; n++) {
      if (n % 5 === 0) clock.now++
      const drawing = quotas.draw('acme', made(quota))
      if (drawing instanceof Promise) waited++
      expect((await drawing).decision.decision).toBe(true)
      // Other work, in which answers of the database come.
      if (n % 5 === 0) for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(waited).toBeLessThan(20)
    expect(table.statements).toBeLessThan(100)
  })

  test('is one unit near the limit, and a part of the limit at most', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 640 })
    for (let n = 0; n < 640; n++) expect((await quotas.draw('acme', made(quota))).decision.decision).toBe(true)
    expect(Math.max(...table.sizes)).toBeLessThanOrEqual(10)
    expect(table.sizes.slice(-10)).toEqual(Array(10).fill(1))
  })

  test('is good for its window only', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 3 })
    const draw = async () => (await quotas.draw('acme', made(quota))).decision
    const { end } = windowAt(clock.now, HOUR)
    for (let n = 0; n < 3; n++) expect((await draw()).decision).toBe(true)
    expect(await draw()).toMatchObject({
      decision: false,
      quotas: [{ remaining: 0, reset_at: new Date(end).toISOString() }],
    })
    clock.now = end - 1
    expect((await draw()).decision).toBe(false)
    clock.now = end
    expect(await draw()).toMatchObject({ decision: true, quotas: [{ remaining: 2 }] })
    // A clock that goes back does not bring the window before back.
    clock.now = end - 1
    expect(await draw()).toMatchObject({ decision: true, quotas: [{ remaining: 1 }] })
    expect([...table.rows.values()]).toEqual([3, 2])
  })

  test('of another window is nothing that could be given back to this one', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 3 })
    const before = await quotas.draw('acme', made(quota))
    clock.now = windowAt(clock.now, HOUR).end
    const first = await quotas.draw('acme', made(quota))
    quotas.giveBack(before)
    expect(first.decision.quotas?.[0]?.remaining).toBe(2)
    expect((await quotas.draw('acme', made(quota))).decision.quotas?.[0]?.remaining).toBe(1)
  })

  test('that is on its way when its window ends is not good for the next one', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 3 })
    const late = quotas.draw('acme', made(quota))
    await new Promise((resolve) => setImmediate(resolve))
    clock.now = windowAt(clock.now, HOUR).end
    const all = await Promise.all([late, ...Array.from({ length: 4 }, () => quotas.draw('acme', made(quota)))])
    expect(all.filter(({ decision }) => decision.decision).length).toBe(3)
    expect([...table.rows.values()].every((units) => units <= 3)).toBe(true)
  })

  test('is not good for the quota as it is after a change, and goes back', async () => {
    const table = new Table()
    const quotas = replica(table)
    const before = compiled({ limit: 1000 })
    await Promise.all(Array.from({ length: 8 }, () => quotas.draw('acme', made(before))))
    await quotas.draw('acme', made(before))
    const held = table.reserved
    expect(held).toBeGreaterThan(9)
    const after = compiled({ limit: 9 })
    expect((await quotas.draw('acme', made(after))).decision).toMatchObject({ reason: 'quota_exceeded' })
    await quiet()
    clock.now += 2_000
    await quotas.sweep()
    expect(table.reserved).toBe(9)
    const raised = compiled({ limit: 11 })
    const came = await Promise.all(Array.from({ length: 5 }, () => quotas.draw('acme', made(raised))))
    expect(came.filter(({ decision }) => decision.decision).length).toBe(2)
  })

  test('of a quota that has just changed is asked for once in a statement', async () => {
    const table = new Table()
    const quotas = replica(table)
    const [before, after] = [compiled({ limit: 10 }), compiled({ limit: 12 })]
    const all = await Promise.all([before, after, before, after].map((one) => quotas.draw('acme', made(one))))
    expect(all.every(({ decision }) => decision.decision)).toBe(true)
    expect(table.reserved).toBe(4)
  })

  test('goes back when the process stops, and what is in it when it is killed is lost', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 10_000 })
    for (let n = 0; n < 50; n++) await quotas.draw('acme', made(quota))
    expect(table.reserved).toBeGreaterThan(50)
    await quotas.close()
    expect(table.reserved).toBe(50)
  })
})

describe('while the database is away', () => {
  test('what is in hand is given; then nothing is, and nothing denied', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 10_000 })
    await Promise.all(Array.from({ length: 30 }, () => quotas.draw('acme', made(quota))))
    await quotas.draw('acme', made(quota))
    await quiet()
    table.isAway = true
    const outcomes = []
    for (let n = 0; n < 200; n++) {
      outcomes.push(
        await Promise.resolve(quotas.draw('acme', made(quota))).then(
          ({ decision }) => String(decision.decision),
          ({ code }) => code,
        ),
      )
    }
    expect(new Set(outcomes)).toEqual(new Set(['true', 'quota_unavailable']))
    expect(outcomes.lastIndexOf('true')).toBeLessThan(outcomes.indexOf('quota_unavailable'))
    table.isAway = false
    expect((await quotas.draw('acme', made(quota))).decision.decision).toBe(true)
  })

  test('units whose going back was not heard of are not taken again', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 100 })
    await Promise.all(Array.from({ length: 20 }, () => quotas.draw('acme', made(quota))))
    quotas.giveBack(await quotas.draw('acme', made(quota)))
    await quiet()
    table.isAway = true
    clock.now += 2_000
    await expect(quotas.sweep()).rejects.toThrow('away')
    await expect(Promise.resolve(quotas.draw('acme', made(quota)))).rejects.toMatchObject({ code: 'quota_unavailable' })
  })
})

describe('what a decision takes', () => {
  test('it takes of all its counters, or of none', async () => {
    const table = new Table()
    const quotas = replica(table)
    const [wide, narrow] = [compiled({ name: 'wide', limit: 100 }), compiled({ name: 'narrow', limit: 2 })]
    const both = () => {
      const one = made(wide)
      const other = made(narrow)
      const draws = [...(one.decision.taking?.draws ?? []), ...(other.decision.taking?.draws ?? [])]
      const uses = [...(one.decision.quotas ?? []), ...(other.decision.quotas ?? [])]
      return { ...one, decision: { ...one.decision, quotas: uses, taking: { draws, refused: [] } } }
    }
    const came = await Promise.all(Array.from({ length: 10 }, () => quotas.draw('acme', both())))
    expect(came.filter(({ decision }) => decision.decision).length).toBe(2)
    const refused = came.at(-1)?.decision.quotas
    expect(refused?.map(({ name, exceeded = false }) => [name, exceeded])).toEqual([
      ['wide', false],
      ['narrow', true],
    ])
    await quotas.close()
    expect(table.reserved).toBe(4)
  })

  test('a deny of it carries the obligations of a deny, and the rules that allowed it', async () => {
    const quotas = replica(new Table())
    const quota = compiled({ limit: 1 })
    await quotas.draw('acme', made(quota))
    const { decision } = await quotas.draw('acme', made(quota))
    expect(decision).toMatchObject({ decision: false, rules: ['default/r'], obligations: [{ id: 'told' }] })
    expect(decision.taking).toBeUndefined()
  })

  test('more than the limit is never asked for', async () => {
    const table = new Table()
    const { decision } = await replica(table).draw('acme', made(compiled({ limit: 5 }), 6))
    expect([decision.reason, table.statements]).toEqual(['quota_exceeded', 0])
  })

  test('what is refused is not asked about again for each who comes', async () => {
    const table = new Table()
    const quotas = replica(table)
    const quota = compiled({ limit: 1 })
    await quotas.draw('acme', made(quota))
    await quotas.draw('acme', made(quota))
    const { statements } = table
    for (let n = 0; n < 500; n++) expect(quotas.draw('acme', made(quota))).not.toBeInstanceOf(Promise)
    expect(table.statements).toBe(statements)
    clock.now += 101
    expect(quotas.draw('acme', made(quota))).toBeInstanceOf(Promise)
  })
})

test('counters that nobody draws from are forgotten, and there are never more than so many', async () => {
  const table = new Table()
  const quotas = replica(table)
  const quota = compiled({ limit: 1000 })
  for (let n = 0; n < 100; n++) await quotas.draw('acme', made(quota, 1, `user-${n}`))
  expect(quotas.size).toBe(100)
  clock.now += 61_000
  await quotas.sweep()
  expect(quotas.size).toBe(0)
  expect(table.reserved).toBe(100)
})
