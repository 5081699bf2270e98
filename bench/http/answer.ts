/** What a bare server answers every question with: as long as an answer of Verdict's, and no work. */
export const ANSWER = {
  decision: true,
  context: {
    decision_id: '0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000',
    reason: 'allowed_by_rule',
    rules: ['default/owner-reads'],
    obligations: [],
    revision: 3,
  },
}
