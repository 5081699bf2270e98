import { expect, test } from 'vitest'
import { traceIdOf } from '../../src/telemetry/trace.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

test.each([
  ['the example of the standard', `00-${TRACE}-${PARENT}-01`],
  ['a version that is not known yet', `01-${TRACE}-${PARENT}-01`],
  ['a later version with more fields', `cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`],
])('takes the trace id from %s', (_title, header) => {
  expect(traceIdOf(header)).toBe(TRACE)
})

test.each([
  ['no header', undefined],
  ['an empty one', ''],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${PARENT}-01`],
  ['a parent id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['upper case', `00-${TRACE.toUpperCase()}-${PARENT}-01`],
  ['the version ff', `ff-${TRACE}-${PARENT}-01`],
  ['version 00 with a field too many', `00-${TRACE}-${PARENT}-01-more`],
  ['a short trace id', `00-${TRACE.slice(1)}-${PARENT}-01`],
  ['flags that are missing', `00-${TRACE}-${PARENT}`],
  ['something after it', `00-${TRACE}-${PARENT}-01\n`],
  ['something before it', ` 00-${TRACE}-${PARENT}-01`],
])('takes none from %s', (_title, header) => {
  expect(traceIdOf(header)).toBeNull()
})
