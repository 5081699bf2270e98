import { describe, expect, test } from 'vitest'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle } from '../../src/policy/model.ts'
import { created } from '../../src/snapshot/draft.ts'
import type { StoredDocument } from '../../src/snapshot/source.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const ANN = { type: 'user', id: 'ann' }
const REQUEST: AccessRequest = { subject: ANN, action: { name: 'read' }, resource: { type: 'doc', id: '1' } }

const any = { subjects: [{ any: true as const }], actions: ['read'], resources: [{ type: 'doc' }] }
const { subjects: _anybody, ...parts } = any
const allow = { name: 'open', effect: 'allow' as const, ...any }
const deny = { name: 'no', effect: 'deny' as const, ...any }

interface Spoiled {
  /** What is denied while everything can be read, and must be after. */
  readonly policy: Omit<Bundle, 'verdict'>
  readonly kind: StoredDocument['kind']
  readonly name: string
  readonly document: unknown
  readonly request?: Partial<AccessRequest>
}

const CASES: Record<string, Spoiled> = {
  'a deny stays first where its priority cannot be read': {
    policy: {
      policies: [{ name: 'default', combining: 'first_applicable' }],
      rules: [
        { ...deny, priority: 5 },
        { ...allow, priority: 3 },
      ],
    },
    kind: 'rule',
    name: 'no',
    document: { ...deny, priority: 'high' },
  },
  'a deny is overridden by nothing where its policy cannot be read': {
    policy: {
      policies: [{ name: 'default', combining: 'allow_overrides' }, { name: 'acl' }],
      rules: [{ ...deny, policy: 'acl' }, allow],
    },
    kind: 'rule',
    name: 'no',
    document: { ...deny, policy: 7 },
  },
  'a deny is enabled where that cannot be read': {
    policy: { rules: [deny, allow] },
    kind: 'rule',
    name: 'no',
    document: { ...deny, enabled: 'yes' },
  },
  'a deny is for ever where its window cannot be read': {
    policy: { rules: [{ ...deny, valid_until: '2031-01-01T00:00:00Z' }, allow] },
    kind: 'rule',
    name: 'no',
    document: { ...deny, valid_until: {} },
  },
  'a deny that became null still denies': {
    policy: { rules: [deny, allow] },
    kind: 'rule',
    name: 'no',
    document: null,
  },
  'a rule of which it cannot be told whether it allows or denies denies': {
    policy: { rules: [deny, allow] },
    kind: 'rule',
    name: 'no',
    document: { ...deny, effect: ['allow'] },
  },
  'an allow whose obligations cannot be read allows nothing': {
    policy: { rules: [{ ...allow, condition: 'false' }] },
    kind: 'rule',
    name: 'open',
    document: { ...allow, obligations: [{ id: 'mask' }] },
  },
  'an allow whose mask cannot be read allows nothing': {
    policy: { rules: [{ ...allow, condition: 'false' }] },
    kind: 'rule',
    name: 'open',
    document: { ...allow, obligations: [{ id: 'm', type: 'mask', properties: { fields: { 'a..b': 'null' } } }] },
  },
  'who has a role that may inherit any is denied by what is denied to any': {
    policy: {
      roles: [{ name: 's' }, { name: 'r', inherits: ['s'] }],
      rules: [{ ...deny, subjects: [{ role: 's' }] }, allow],
      assignments: [{ subject: ANN, role: 'r' }],
    },
    kind: 'role',
    name: 'r',
    document: { name: 'r', inherits: { s: true } },
  },
  'who may have a role that is derived from nobody knows what is denied by it': {
    policy: {
      roles: [{ name: 's' }, { name: 'r', derived: { from: ['s'], condition: 'true' } }],
      rules: [{ ...deny, subjects: [{ role: 'r' }] }, allow],
      assignments: [{ subject: ANN, role: 's' }],
    },
    kind: 'role',
    name: 'r',
    document: { name: 'r', derived: { from: 's', condition: 'true' } },
  },
  'a role that is in doubt is not among the roles that a condition can rely on': {
    policy: {
      roles: [{ name: 'r' }],
      rules: [{ ...allow, condition: '!("r" in subject.roles)' }],
      assignments: [{ subject: ANN, role: 'r' }],
    },
    kind: 'role',
    name: 'r',
    document: { name: 'r', stranger: true },
  },
  'nor among those that the condition of a derived role can': {
    policy: {
      roles: [
        { name: 'r' },
        { name: 's' },
        { name: 'd', derived: { from: ['s'], condition: '!("r" in subject.roles)' } },
      ],
      rules: [{ ...allow, subjects: [{ role: 'd' }] }],
      assignments: [
        { subject: ANN, role: 'r' },
        { subject: ANN, role: 's' },
      ],
    },
    kind: 'role',
    name: 'r',
    document: { name: 'r', stranger: true },
  },
  'a policy is required where that cannot be read': {
    policy: { policies: [{ name: 'acl', required: true }], rules: [allow] },
    kind: 'policy',
    name: 'acl',
    document: { name: 'acl', required: 'no' },
  },
  'a policy whose combining cannot be read denies if any rule does': {
    policy: { rules: [deny, allow], policies: [{ name: 'default', combining: 'deny_overrides' }] },
    kind: 'policy',
    name: 'default',
    document: { name: 'default', combining: 'majority' },
  },
  'a policy whose target cannot be read allows nothing': {
    policy: {
      policies: [{ name: 'acl', target: { resource_types: ['file'] } }],
      rules: [{ ...allow, policy: 'acl' }],
    },
    kind: 'policy',
    name: 'acl',
    document: { name: 'acl', target: { resource_types: 'file' } },
  },
  'what is no policy allows nothing anywhere': {
    policy: {
      policies: [{ name: 'acl', required: true }],
      rules: [allow],
    },
    kind: 'policy',
    name: 'acl',
    document: [],
  },
  'a property may be protected where that cannot be read': {
    policy: {
      types: [{ name: 'user', protected_properties: ['level'] }],
      entities: [{ ...ANN, properties: { level: 1 } }],
      rules: [{ ...allow, condition: 'subject.properties.level > 2' }],
    },
    kind: 'type',
    name: 'user',
    document: { name: 'user', protected_properties: 'level' },
    request: { subject: { ...ANN, properties: { level: 3 } } },
  },
  'a property may be the stored one or the request’s where the precedence cannot be read': {
    policy: {
      settings: { attribute_precedence: 'request' },
      entities: [{ type: 'doc', id: '1', properties: { locked: false } }],
      rules: [{ ...deny, condition: 'resource.properties.locked' }, allow],
    },
    kind: 'settings',
    name: '',
    document: { attribute_precedence: 'both' },
    request: { resource: { type: 'doc', id: '1', properties: { locked: true } } },
  },
  'nothing is a level where the levels cannot be read': {
    policy: {
      settings: { levels: ['low', 'high'] },
      rules: [{ ...allow, condition: 'level("read_only") >= level("none")' }],
    },
    kind: 'settings',
    name: '',
    document: { levels: ['low', 1] },
  },
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { in: nested(depth - 1) }
}

describe('an error never becomes an allow', () => {
  test.each(Object.entries(CASES))('%s', (_title, { policy, kind, name, document, request }) => {
    const { index, lookup } = loadBundle({ verdict: 1, ...policy })
    const asked = { ...REQUEST, ...request }
    const ask = () => decide(index, factsFor(lookup, asked), asked, NOW).decision
    expect(index.quarantined).toBe(0)
    expect(ask()).toBe(false)
    index.apply(created({ kind, name, text: JSON.stringify(document) }))
    expect(index.faultOf(kind, name)).toEqual(expect.any(String))
    expect(index.quarantined).toBe(1)
    expect(ask()).toBe(false)
  })

  test('a member of a policy that nobody knows may be one that denies: nothing is allowed in its tenant', () => {
    const { index, lookup } = loadBundle({ verdict: 1, policies: [{ name: 'acl' }], rules: [allow] })
    const ask = () => decide(index, factsFor(lookup, REQUEST), REQUEST, NOW).decision
    expect(ask()).toBe(true)
    index.apply(created({ kind: 'policy', name: 'acl', text: '{"name": "acl", "until": "2029"}' }))
    expect(ask()).toBe(false)
  })

  test('what cannot be read of one document says nothing of others', () => {
    const { index, lookup } = loadBundle({ verdict: 1, rules: [allow, deny], roles: [{ name: 'r' }] })
    const ask = () => decide(index, factsFor(lookup, REQUEST), REQUEST, NOW).decision
    index.apply(
      created({
        kind: 'rule',
        name: 'no',
        text: JSON.stringify({ ...deny, resources: [{ type: 'x' }], priority: '' }),
      }),
    )
    index.apply(created({ kind: 'role', name: 'r', text: '[]' }))
    index.apply(created({ kind: 'type', name: 'doc', text: '1' }))
    expect(index.quarantined).toBe(3)
    expect(ask()).toBe(true)
  })

  test.each([
    ['rule', 'open', (deep: unknown) => ({ ...allow, obligations: [{ id: 'o', type: 'tell', properties: { deep } }] })],
    [
      'role',
      'r',
      (deep: unknown) => ({
        name: 'r',
        permissions: [{ ...parts, obligations: [{ id: 'o', type: 'tell', properties: { deep } }] }],
      }),
    ],
    ['type', 'doc', (deep: unknown) => ({ name: 'doc', schema: { const: deep } })],
  ] as const)('a %s that is nested deeper than a caller can write is quarantined', (kind, name, holding) => {
    const { index } = loadBundle({ verdict: 1 })
    const put = (depth: number) => index.apply(created({ kind, name, text: JSON.stringify(holding(nested(depth))) }))
    put(12)
    expect(index.quarantined).toBe(0)
    put(65)
    expect(index.faultOf(kind, name)).toMatch('nested more than 64 deep')
  })

  test('a type whose schema does not compile is quarantined, and refuses what it would have to judge', () => {
    const { index } = loadBundle({ verdict: 1 })
    index.apply(created({ kind: 'type', name: 'doc', text: '{"name": "doc", "schema": {"type": "shape"}}' }))
    expect(index.faultOf('type', 'doc')).toBe('/schema: does not compile')
    expect([...index.propertyChecks.keys()]).toEqual(['doc'])
    index.apply(created({ kind: 'type', name: 'doc', text: '{"name": "doc", "schema": {"type": "object"}}' }))
    expect(index.quarantined).toBe(0)
  })
})
