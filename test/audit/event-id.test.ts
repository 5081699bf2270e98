import { validate, version } from 'uuid'
import { expect, test } from 'vitest'
import { EventIds, eventId, instantIn } from '../../src/audit/event-id.ts'

test('ids rise, are never equal, and carry their instant, also where the clock goes back', () => {
  const start = Date.now() + 1000
  const clock = [start, start, start + 5, start - 100, start + 5, start + 6]
  const made = Array.from({ length: 6000 }, (_, n) => eventId(clock[Math.floor(n / 1000)] ?? 0))
  const ids = made.map(({ id }) => id)
  expect(ids).toEqual([...ids].sort())
  expect(new Set(ids).size).toBe(ids.length)
  for (const { id, at } of made) {
    expect(instantIn(id)).toBe(Date.parse(at))
  }
  expect(made.at(-1)?.at).toBe(new Date(start + 6).toISOString())
})

test('ids are UUIDs of version 7 and rise, over every carry of what they count', () => {
  const now = Date.now()
  const ids = Array.from({ length: 40_000 }, () => new EventIds().next(now).id)
  const source = new EventIds()
  const counted = Array.from({ length: 40_000 }, () => source.next(now).id)
  for (const id of [...ids, ...counted]) expect(validate(id) && version(id) === 7 && instantIn(id) === now).toBe(true)
  expect(new Set([...ids, ...counted]).size).toBe(80_000)
  expect(counted).toEqual([...counted].sort())
})

test('once a millisecond can name no more, ids go on in the next', () => {
  const source = new EventIds(1000)
  const now = Date.now()
  const made = Array.from({ length: 5000 }, () => source.next(now))
  const ids = made.map(({ id }) => id)
  expect(ids).toEqual([...ids].sort())
  expect(new Set(ids).size).toBe(ids.length)
  expect(instantIn(ids.at(-1) ?? '')).toBeGreaterThan(now + 4)
  for (const { id, at } of made) expect(instantIn(id)).toBe(Date.parse(at))
})
