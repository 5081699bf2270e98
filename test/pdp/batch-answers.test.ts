import fc from 'fast-check'
import { expect, test } from 'vitest'
import { eventId } from '../../src/audit/event-id.ts'
import type { ItemInError } from '../../src/contract/batch.ts'
import type { Made } from '../../src/pdp/answer.ts'
import { BatchAnswers } from '../../src/pdp/batch-answers.ts'
import { type AccessRequest, DEFAULT_SETTINGS } from '../../src/policy/model.ts'

const ODD = 'a"b\\c\u2028 häßlich 🐍 \u0000'
const request: AccessRequest = {
  subject: { type: 'user', id: ODD },
  action: { name: 'x' },
  resource: { type: 'd', id: '1' },
}
const inError: ItemInError = {
  decision: false,
  context: { decision_id: 'e', reason: 'invalid_request', obligations: [], error: { status: 400, message: ODD } },
}
const SETTINGS = [DEFAULT_SETTINGS, { ...DEFAULT_SETTINGS, rules_in_answers: false }]
const obligation = { id: ODD, type: 'mask', properties: { f: ODD } }
const quota = { name: 'q', limit: 1, remaining: 0, reset_at: null, exceeded: true }
const proof = { issuer: 'i', version: 1, jti: null, roles: [], until: 0 }

// Of few values each, so that neighbours are alike, and differ in one thing alone.
const madeOnes = fc.record({
  decision: fc.record({
    decision: fc.boolean(),
    reason: fc.constantFrom('allowed_by_rule' as const, 'denied_by_rule' as const),
    rules: fc.constantFrom<string[]>([], [ODD], ['r'], ['r', ODD]),
    obligations: fc.constantFrom<(typeof obligation)[]>([], [], [obligation]),
    quotas: fc.constantFrom(undefined, undefined, [quota]),
  }),
  revision: fc.constantFrom(1, 2),
  settings: fc.constantFrom(...SETTINGS),
  warnings: fc.constantFrom<Made['warnings']>([], [], [{ pointer: '/a', detail: ODD }]),
  proof: fc.constantFrom(undefined, undefined, proof),
  presented: fc.constantFrom(undefined, undefined, { verified: {} }),
}) as fc.Arbitrary<unknown> as fc.Arbitrary<Made>

test('the text of the answers is that of their values', () => {
  fc.assert(
    fc.property(fc.array(fc.option(madeOnes, { freq: 10 }), { maxLength: 20 }), (items) => {
      const answers = new BatchAnswers()
      for (const made of items) {
        if (made === null) answers.addInError(inError)
        else answers.add(eventId(Date.now()).id, made, request)
      }
      expect(answers.json()).toBe(JSON.stringify(answers.all()))
      expect(answers.length).toBe(items.length)
    }),
    { numRuns: 2_000 },
  )
})
