import { expect, test } from 'vitest'
import { authenticate } from '../../src/contract/authenticate.ts'
import { schemaCheck } from '../../src/policy/validate.ts'

test('of a member that chooses, it is told what there is to choose from', () => {
  const check = schemaCheck(authenticate.schema.body)
  const details = (sent: unknown) => check(sent).map(({ pointer, detail }) => `${pointer} ${detail}`)
  const choice = '/method must be one of: "api_key", "password", "refresh_token", "token"'
  expect(details({ method: 'magic' })).toEqual([choice])
  expect(details({ method: 5 })).toEqual([choice])
  expect(details({})).toEqual(['/method is required'])
})
