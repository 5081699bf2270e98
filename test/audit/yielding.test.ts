import { beforeEach, expect, test } from 'vitest'
import { Yielding } from '../../src/audit/yielding.ts'

const BATCH = 4000

let now = 0
let came = 0
let shipped = 0
let yielding: Yielding
beforeEach(() => {
  now = 1_000_000
  came = 0
  shipped = 0
  yielding = new Yielding(BATCH, () => now)
  yielding.lasts(0, 0)
})

/** What the shipper is told after it has shipped a batch, or has waited. */
function after(ms: number, more: { came?: number; shipped?: number }): boolean {
  now += ms
  came += more.came ?? 0
  shipped += more.shipped ?? 0
  return yielding.lasts(came, shipped)
}

/** A burst of 100,000 records a second, in which shipping keeps up with a quarter of that where it goes on. @returns batches. */
function burst(seconds: number): number {
  let batches = 0
  for (const end = now + seconds * 1000; now < end; ) {
    while (after(100, { came: 10_000 }) && now < end);
    after(160, { came: 16_000, shipped: BATCH })
    batches++
  }
  return batches
}

test('what can be shipped as it comes is shipped', () => {
  for (let batch = 0; batch < 100; batch++) expect(after(150, { came: 3900, shipped: 3900 })).toBe(false)
})

test('in a burst a batch is shipped every 700 ms and the time that it takes', () => {
  expect(after(160, { came: 16_000, shipped: BATCH })).toBe(true)
  for (let ms = 100; ms < 700; ms += 100) expect(after(100, { came: 10_000 })).toBe(true)
  expect(after(100, { came: 10_000 })).toBe(false)
  expect(after(160, { came: 16_000, shipped: BATCH })).toBe(true)
})

test('a burst after a rest is one from its first batch on', () => {
  now += 60_000
  came = 2000
  yielding.begins(came, shipped)
  expect(after(100, { came: 10_000, shipped: 2000 })).toBe(true)
})

test('when the burst is over, shipping goes on', () => {
  expect(after(160, { came: 16_000, shipped: BATCH })).toBe(true)
  expect(after(100, { came: 10_000 })).toBe(true)
  expect(after(100, { came: 1000 })).toBe(false)
  expect(after(160, { came: 1000, shipped: BATCH })).toBe(false)
})

test('it yields for ten seconds, and again when all has been shipped', () => {
  expect(burst(10)).toBeLessThan(14)
  expect(burst(10)).toBeGreaterThan(30)
  const rest = came - shipped
  expect(after(rest / 30, { shipped: rest })).toBe(false)
  expect(burst(10)).toBeLessThan(14)
})

test('a database that stands still is no burst', () => {
  expect(after(5000, { came: 60_000, shipped: BATCH })).toBe(false)
  expect(after(150, { came: 1800, shipped: BATCH })).toBe(false)
})

test('nor are a few records, however fast they come', () => {
  expect(after(50, { came: 7500, shipped: 100 })).toBe(false)
  expect(after(50, { came: 7500 })).toBe(true)
})

test('nor is a start with many to ship', () => {
  now = 1000
  yielding = new Yielding(BATCH, () => now)
  came = 500_000
  expect(after(150, { came: 100, shipped: BATCH })).toBe(false)
})

test('twice as many must come as are shipped', () => {
  expect(after(100, { came: 20_000, shipped: BATCH })).toBe(true)
  expect(after(1000, { came: 50_000, shipped: 26_000 })).toBe(false)
})
