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
const REQUESTS: AccessRequest[] = [
  { subject: alice, action: { name: 'read' }, resource: { type: 'doc', id: ODD } },
  { subject: alice, action: { name: 'read' }, resource: { type: 'doc', id: '2' }, context: { ip: ODD } },
  { subject: { type: 'user', id: 'bob' }, action: { name: ODD, properties: { m: 1 } }, resource: alice, context: {} },
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
