import { afterAll, describe, expect, test } from 'vitest'
import { holds } from '../support/condition-scope.ts'

const { TZ } = process.env
afterAll(() => {
  if (TZ === undefined) delete process.env['TZ']
  else process.env['TZ'] = TZ
})

// The zone of the process must not matter: New York skips an hour when Zürich has it, Lord Howe moves by half an hour.
describe.each(['UTC', 'America/New_York', 'Australia/Lord_Howe'])('clocks of a zone, in a process in %s', (zone) => {
  test.each([
    // Weekday (Sunday is 0), date, hour, minute: across midnight, and across both changes of summer time.
    ['2030-01-02T03:04:05Z', 'Europe/Zurich', [3, 2, 4, 4]],
    ['2030-07-01T22:30:00Z', 'Europe/Zurich', [2, 2, 0, 30]],
    ['2030-03-31T00:59:59Z', 'Europe/Zurich', [0, 31, 1, 59]],
    ['2030-03-31T01:00:00Z', 'Europe/Zurich', [0, 31, 3, 0]],
    ['2030-10-27T00:59:59Z', 'Europe/Zurich', [0, 27, 2, 59]],
    ['2030-10-27T01:00:00Z', 'Europe/Zurich', [0, 27, 2, 0]],
    // 02:30, an hour that New York does not have on this day.
    ['2030-03-10T01:30:00Z', 'Europe/Zurich', [0, 10, 2, 30]],
    ['2030-03-10T06:59:59Z', 'America/New_York', [0, 10, 1, 59]],
    ['2030-03-10T07:00:00Z', 'America/New_York', [0, 10, 3, 0]],
    ['2030-01-01T18:20:00Z', 'Asia/Kathmandu', [3, 2, 0, 5]],
    ['2030-01-01T10:00:00Z', 'Pacific/Kiritimati', [3, 2, 0, 0]],
    ['2030-01-01T11:30:00Z', 'Australia/Lord_Howe', [2, 1, 22, 30]],
    ['2030-07-01T11:30:00Z', 'Australia/Lord_Howe', [1, 1, 22, 0]],
    ['2030-01-01T00:30:00Z', '+05:45', [2, 1, 6, 15]],
    ['2030-01-01T00:30:00Z', '-01:00', [1, 31, 23, 30]],
    ['2030-01-01T00:30:00Z', 'UTC', [2, 1, 0, 30]],
    // 44 minutes and 30 seconds behind, until 1972.
    ['1971-06-01T12:00:00Z', 'Africa/Monrovia', [2, 1, 11, 15]],
    ['0050-01-01T12:00:00Z', 'UTC', [6, 1, 12, 0]],
  ])('%s in %s', (now, tz, [weekday, date, hour, minute]) => {
    process.env['TZ'] = zone
    const shown = 'now.getDayOfWeek(context.tz) == context.w && now.getDate(context.tz) == context.d'
    const clock = 'now.getHours(context.tz) == context.h && now.getMinutes(context.tz) == context.m'
    const context = { tz, w: weekday, d: date, h: hour, m: minute }
    expect(holds(`${shown} && ${clock}`, { now, context })).toBe(true)
    // Again, when the zone's offset is remembered.
    expect(holds(`${shown} && ${clock}`, { now, context })).toBe(true)
  })

  test('every day of a year has its number', () => {
    process.env['TZ'] = zone
    for (let day = 0; day < 366; day++) {
      const now = new Date(Date.UTC(2028, 0, 1 + day, 12)).toISOString()
      const text = 'now.getDayOfYear() == context.day && now.getDayOfYear("Europe/Zurich") == context.day'
      expect(holds(text, { now, context: { day } })).toBe(true)
    }
  })
})

test('office hours are one line', () => {
  const office =
    'now.getDayOfWeek("Europe/Zurich") in [1, 2, 3, 4, 5] && now.getHours("Europe/Zurich") in [8, 9, 10, 11]'
  expect(holds(office, { now: '2030-07-01T06:00:00Z' })).toBe(true)
  expect(holds(office, { now: '2030-07-01T05:59:59Z' })).toBe(false)
  expect(holds(office, { now: '2030-12-02T06:59:59Z' })).toBe(false)
  expect(holds(office, { now: '2030-06-30T06:00:00Z' })).toBe(false)
})

test('two zones are not mixed up, and a remembered offset ends with its minute', () => {
  const text = 'now.getHours("Europe/Zurich") == context.z && now.getHours("Asia/Tokyo") == context.t'
  expect(holds(text, { now: '2030-03-31T00:59:00Z', context: { z: 1, t: 9 } })).toBe(true)
  expect(holds(text, { now: '2030-03-31T01:00:00Z', context: { z: 3, t: 10 } })).toBe(true)
  expect(holds(text, { now: '2030-03-31T00:59:00Z', context: { z: 1, t: 9 } })).toBe(true)
})

test.each(['', 'Mars/Base', 'Europe/Zurich ', '+1:00', '+24:00', '01:00', '+0100', 'x'.repeat(1000), 7, null])(
  '%j is no zone: an error',
  (tz) => {
    expect(holds('now.getHours(context.tz) >= 0', { context: { tz } })).toBeUndefined()
  },
)
