import { expect, test } from 'vitest'
import { parseInstant, readInstant } from '../../src/policy/instant.ts'

test.each([
  ['2030-01-31T08:00:00Z', '2030-01-31T08:00:00.000Z'],
  ['2030-01-31t08:00:00z', '2030-01-31T08:00:00.000Z'],
  ['2030-01-31T08:00:00.123456789+01:00', '2030-01-31T07:00:00.123Z'],
  ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
])('%s is an instant', (text, instant) => {
  expect(new Date(readInstant(text)).toISOString()).toBe(instant)
})

test.each([
  '',
  '5',
  'March 7 2030',
  '2030',
  '2030-01-31',
  '2030-01-31T08:00:00',
  '2030-01-31T08:00Z',
  '2030-01-31 08:00:00Z',
  '2030-01-31T08:00:00+0100',
  '2030-01-31T24:00:00Z',
  '2030-02-30T08:00:00Z',
  '2030-13-01T08:00:00Z',
  '2016-12-31T23:59:60Z',
  '0000-12-31T23:59:59Z',
  '9999-12-31T23:59:59-01:00',
])('%j is none', (text) => {
  expect(readInstant(text)).toBeNaN()
})

test('what the format of a schema lets through is read as ever', () => {
  expect(parseInstant('2030-01-31 08:00:00Z')).toBe(parseInstant('2030-01-31T08:00:00Z'))
})
