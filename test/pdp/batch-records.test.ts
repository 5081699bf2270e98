import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Redactor } from '../../src/audit/redactor.ts'
import type { Made } from '../../src/pdp/answer.ts'
import { BatchRecords } from '../../src/pdp/batch-records.ts'
import { decisionEvent } from '../../src/pdp/event.ts'
import type { Asking } from '../../src/pdp.ts'
import { type AccessRequest, DEFAULT_SETTINGS, type Settings } from '../../src/policy/model.ts'
import type { TenantSnapshot } from '../../src/snapshot/tenant-snapshot.ts'

const TOKEN = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl'
const ODD = `a"b\\c\u2028 häßlich 🐍 </x> \u0000 \ud800 vdt_abcd_ABCDEFGHIJKLMNOPQRSTUVWX\n${TOKEN}`

const asking: Asking = {
  caller: {
    tenant: 'default',
    subject: { type: 'service', id: ODD },
    method: 'api_key',
    key_id: 'abcd',
    key_roles: null,
    session_id: null,
    issuer: null,
  },
  tenant: 'default',
  origin: { ip: '::1', user_agent: ODD, request_id: ODD, trace_id: null },
  began: 0,
  recorded: false,
}

const alice: AccessRequest['subject'] = { type: 'user', id: ODD, properties: { x: [1, null, { y: ODD }] } }
// With a member that the contract does not know: it is not recorded.
const UNKNOWN = { name: ODD, properties: { m: 1 }, more: ODD }
const REQUESTS: AccessRequest[] = [
  { subject: alice, action: { name: 'read' }, resource: { type: 'doc', id: ODD } },
  { subject: alice, action: { name: 'read' }, resource: { type: 'doc', id: '2' }, context: { ip: ODD } },
  { subject: { type: 'user', id: 'bob' }, action: UNKNOWN, resource: alice, context: {} },
]

function made(more: Partial<Made['decision']>, settings: Settings = {}): Made {
  const decision = { decision: false, reason: 'no_applicable_rule', rules: [], obligations: [], ...more } as const
  return {
    decision,
    revision: 7,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    warnings: [],
    proof: undefined,
    presented: undefined,
  }
}

const MADE: Made[] = [
  made({}),
  made({ decision: true, reason: 'allowed_by_rule', rules: ['default/a', 'roles/b'] }),
  made({ reason: 'denied_by_rule', rules: [ODD], obligations: [{ id: ODD, type: 'mask', properties: { f: ODD } }] }),
  made({ reason: 'quota_exceeded', quotas: [{ name: 'q', limit: 1, remaining: 0, reset_at: null, exceeded: true }] }),
  {
    ...made({ decision: true, reason: 'allowed_by_rule', quotas: [] }),
    recorded: [{ name: 'q', limit: 9, remaining: 8, reset_at: ODD, units: 1, counter: 'ab', window_seconds: 60 }],
  },
]

/** What differs from one call to the next. */
const bare = (text: string) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|"duration_us":\d+/g, '-')

test.each([
  ['as it is', {}],
  ['redacted', { redaction: { 'subject.properties': 'keyed_hash', context: 'drop' } } satisfies Settings],
])('an item of a batch is recorded in the same bytes as a single decision, but for its place: %s', (_what, given) => {
  const redactor = new Redactor(Buffer.alloc(32))
  const records = new BatchRecords(asking, redactor)
  const wanted: string[] = []
  for (const request of REQUESTS) {
    for (const each of MADE.map((one) => ({ ...one, ...made(one.decision, given) }))) {
      const tenant = { id: 'default', index: { settings: each.settings } } as unknown as TenantSnapshot
      const item = wanted.length
      records.addDecision(tenant, request, each, 1_700_000_000_000, item)
      const event = decisionEvent(asking, request, each, 1_700_000_000_000, { first: 'x', item })
      wanted.push(encodeEvent(redactor.event({ ...event, batch: { id: records.first ?? '', item } }, each.settings)))
    }
  }
  expect(records.texts.map(bare)).toEqual(wanted.map(bare))
  expect(records.texts.join()).not.toContain('ABCDEFGHIJKLMNOPQRSTUVWX')
  expect(records.texts.join()).not.toContain('c2lnbmF0dXJl')
})

// Of few values each, so that neighbours are alike, and differ in one thing alone.
const requests: fc.Arbitrary<AccessRequest> = fc.record(
  {
    subject: fc.constantFrom(...REQUESTS.map(({ subject }) => subject)),
    action: fc.constantFrom(...REQUESTS.map(({ action }) => action)),
    resource: fc.constantFrom(...REQUESTS.map(({ resource }) => resource)),
    context: fc.constantFrom(...REQUESTS.flatMap(({ context }) => (context === undefined ? [] : [context]))),
  },
  { requiredKeys: ['subject', 'action', 'resource'] },
)
const decisions = MADE.flatMap(({ decision }) => [
  decision,
  { ...decision, obligations: [] },
  { ...decision, rules: [] },
])
const settings = made({}).settings
const outcomes: fc.Arbitrary<Made> = fc.record(
  {
    decision: fc.constantFrom(...decisions),
    revision: fc.constantFrom(7, 8),
    settings: fc.constant(settings),
    warnings: fc.constant([]),
    proof: fc.constant(undefined),
    presented: fc.constant(undefined),
    recorded: fc.constantFrom(...MADE.flatMap(({ recorded }) => (recorded === undefined ? [] : [recorded]))),
  },
  { requiredKeys: ['decision', 'revision', 'settings', 'warnings', 'proof', 'presented'] },
)

test('an item is recorded as it is, whatever stands beside it', () => {
  const tenant = { id: 'default', index: { settings } } as unknown as TenantSnapshot
  fc.assert(
    fc.property(fc.array(fc.tuple(requests, outcomes), { maxLength: 12 }), (items) => {
      const records = new BatchRecords(asking, new Redactor(Buffer.alloc(32)))
      for (const [item, [request, came]] of items.entries()) records.addDecision(tenant, request, came, 0, item)
      const wanted = items.map(([request, came], item) =>
        encodeEvent(decisionEvent(asking, request, came, 0, { first: records.first, item })),
      )
      expect(records.texts.map(bare)).toEqual(wanted.map(bare))
    }),
    { numRuns: 2_000 },
  )
})
