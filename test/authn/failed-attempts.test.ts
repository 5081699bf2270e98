import { expect, test } from 'vitest'
import { FailedAttempts } from '../../src/authn/failed-attempts.ts'

function fail(attempts: FailedAttempts, address: string, times: number, now = 0): number {
  return Array.from({ length: times }, () => attempts.isRecordedSingly(address, now)).filter(Boolean).length
}

test('ten failures a minute are recorded singly, the rest as one count', () => {
  const attempts = new FailedAttempts()
  expect(fail(attempts, '10.0.0.1', 25)).toBe(10)
  expect(attempts.isRecordedSingly('10.0.0.2', 0)).toBe(true)
  expect(attempts.drain(59_999, 'past')).toEqual([])
  expect(attempts.drain(60_000, 'past')).toEqual([{ address: '10.0.0.1', count: 15 }])
  expect(attempts.drain(120_000, 'past')).toEqual([])
  expect(attempts.isRecordedSingly('10.0.0.1', 120_000)).toBe(true)
})

test('failures of addresses that fell out of the table are still counted', () => {
  const attempts = new FailedAttempts(2)
  fail(attempts, 'a', 13)
  for (const address of ['b', 'c']) attempts.isRecordedSingly(address, 0)
  expect(attempts.drain(0, 'past')).toEqual([{ address: null, count: 3 }])
})

test('a minute that the end of the process cuts short is counted too', () => {
  const attempts = new FailedAttempts()
  fail(attempts, 'a', 13)
  fail(attempts, 'b', 3)
  expect(attempts.drain(1, 'all')).toEqual([{ address: 'a', count: 3 }])
})

test('a count that could not be recorded is given out again, once, with what came meanwhile', () => {
  const attempts = new FailedAttempts()
  fail(attempts, 'a', 13)
  const [uncounted] = attempts.drain(60_000, 'past')
  if (uncounted === undefined) throw new Error('nothing was counted')
  const singly = fail(attempts, 'a', 4, 60_001)
  attempts.putBack(uncounted)
  expect(singly + fail(attempts, 'a', 5, 60_002)).toBe(4)
  attempts.putBack({ address: null, count: 2 })
  const counted = attempts.drain(60_003, 'all')
  expect(counted).toEqual([
    { address: 'a', count: 3 + 5 },
    { address: null, count: 2 },
  ])
  expect(attempts.drain(60_004, 'all')).toEqual([])
})

test('a count that was put back does not wait for another minute', () => {
  const attempts = new FailedAttempts()
  attempts.putBack({ address: 'a', count: 7 })
  expect(attempts.drain(1, 'past')).toEqual([{ address: 'a', count: 7 }])
})
