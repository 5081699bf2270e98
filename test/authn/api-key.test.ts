import { expect, test } from 'vitest'
import { parseApiKey } from '../../src/authn/api-key.ts'

const SECRET = 'a_b-'.repeat(10)

test('an API key is taken apart in one way only', () => {
  expect(parseApiKey(`vdt_abcd1234_${SECRET}`)).toEqual({ id: 'abcd1234', secret: SECRET })
})

test.each([
  '',
  'vdt_',
  `vdt_abc_${SECRET}`,
  `vdt_ABCD_${SECRET}`,
  `vdt_abcd_${'x'.repeat(31)}`,
  `vdt_abcd_${'x'.repeat(129)}`,
  ` vdt_abcd_${SECRET}`,
  `vdt_abcd_${SECRET}\n`,
])('what is not quite an API key is none: %j', (text) => {
  expect(parseApiKey(text)).toBeUndefined()
})
