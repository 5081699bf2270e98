import { expect, test } from 'vitest'
import { FailedAttempts } from '../../src/authn/failed-attempts.ts'

test('ten failures a minute are recorded singly, the rest as one count', () => {
  const attempts = new FailedAttempts()
  const singly = Array.from({ length: 25 }, () => attempts.isRecordedSingly('10.0.0.1', 0)).filter(Boolean)
  expect(singly).toHaveLength(10)
  expect(attempts.isRecordedSingly('10.0.0.2', 0)).toBe(true)
  expect(attempts.drain(59_999)).toEqual([])
  expect(attempts.drain(60_000)).toEqual([{ address: '10.0.0.1', count: 15 }])
  expect(attempts.drain(120_000)).toEqual([])
  expect(attempts.isRecordedSingly('10.0.0.1', 120_000)).toBe(true)
})

test('failures of addresses that fell out of the table are still counted', () => {
  const attempts = new FailedAttempts(2)
  for (let n = 0; n < 13; n++) attempts.isRecordedSingly('a', 0)
  for (const address of ['b', 'c']) attempts.isRecordedSingly(address, 0)
  expect(attempts.drain(0)).toEqual([{ address: null, count: 3 }])
})
