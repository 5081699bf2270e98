import { expect, test } from 'vitest'
import { withoutCredentials } from '../../src/telemetry/secrets.ts'
import { spentMs } from '../support/stopwatch.ts'

test.each([
  [`"vdt_abcd_${'x'.repeat(43)}"`, '"vdt_abcd_[redacted]"'],
  [`Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln, and on`, 'Bearer [redacted], and on'],
  [JSON.stringify('token:\neyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln'), '"token:\\n[redacted]"'],
  ['/?next=%2F%3Ft%3DeyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln', '/?next=%2F%3Ft%3D[redacted]'],
  ['x_eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln', 'x_[redacted]'],
  ['a.b.eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln', 'a.b.[redacted]'],
  [`"vdr_my-tenant_${'x'.repeat(43)}"`, '"vdr_my-tenant_[redacted]"'],
  ['vdt_ is no key, and eyJ no token, nor is vdr_', 'vdt_ is no key, and eyJ no token, nor is vdr_'],
  ['vdt_abcd_short', 'vdt_abcd_short'],
])('%s becomes %s', (text, wanted) => {
  expect(withoutCredentials(text)).toBe(wanted)
})

test('the search takes a time that is linear in the text, however it is made', async () => {
  const spent = await spentMs(() => {
    for (const part of ['eyJ-', 'eyJa.', 'eyJ', 'vdt_aaaa_', 'vdt_', 'vdr_a_', 'vdr_', '-eyJ', 'xeyJa', 'a.eyJa.'])
      withoutCredentials(part.repeat(100_000))
  })
  expect(spent).toBeLessThan(2000)
})
