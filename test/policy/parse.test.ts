import { describe, expect, test } from 'vitest'
import type { Problem } from '../../src/failure.ts'
import type { Role, Rule } from '../../src/policy/model.ts'
import {
  checkAssignment,
  checkEntity,
  checkPolicy,
  checkRole,
  checkRule,
  checkType,
  parseBundle,
  parseRequest,
} from '../../src/policy/parse.ts'

const RULE: Rule = {
  name: 'r',
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
}
const USER = { type: 'user', id: 'a' }

const pointers = (problems: readonly Problem[]) => problems.map(({ pointer }) => pointer)

function problemsOf(document: unknown): Problem[] {
  const parsed = parseBundle(document)
  return 'problems' in parsed ? parsed.problems : []
}

test('a bundle that is right is given back as it came', () => {
  const document = { verdict: 1, rules: [RULE], roles: [{ name: 'x', inherits: [] }] }
  expect(parseBundle(document)).toEqual({ bundle: document })
})

describe('a bundle says where it is wrong', () => {
  test.each([
    ['nothing at all', null, ''],
    ['a list', [], ''],
    ['no version', {}, '/verdict'],
    ['another version', { verdict: 2 }, '/verdict'],
    ['an unknown member', { verdict: 1, rule: [] }, '/rule'],
    ['a section that is no list', { verdict: 1, rules: {} }, '/rules'],
    ['an unknown member deep inside', { verdict: 1, rules: [{ ...RULE, 'a/b~c': 1 }] }, '/rules/0/a~1b~0c'],
    ['a missing member', { verdict: 1, rules: [{ ...RULE, actions: undefined }] }, '/rules/0/actions'],
    ['no subjects', { verdict: 1, rules: [{ ...RULE, subjects: [] }] }, '/rules/0/subjects'],
    ['an unknown effect', { verdict: 1, rules: [{ ...RULE, effect: 'maybe' }] }, '/rules/0/effect'],
    [
      'an unknown kind of subject',
      { verdict: 1, rules: [{ ...RULE, subjects: [{ team: 'x' }] }] },
      '/rules/0/subjects/0',
    ],
    ['a name with a blank', { verdict: 1, roles: [{ name: 'a b' }] }, '/roles/0/name'],
    ['a control character in an id', { verdict: 1, entities: [{ type: 'user', id: 'a\u0000' }] }, '/entities/0/id'],
    ['half a surrogate pair in an id', { verdict: 1, entities: [{ type: 'user', id: 'a\ud800' }] }, '/entities/0/id'],
    ['a number for an id', { verdict: 1, entities: [{ type: 'user', id: 5 }] }, '/entities/0/id'],
    [
      'an instant without a zone',
      { verdict: 1, rules: [{ ...RULE, valid_from: '2030-01-01T00:00:00' }] },
      '/rules/0/valid_from',
    ],
    [
      'a condition that does not parse',
      { verdict: 1, rules: [RULE, { ...RULE, condition: 'a ==' }] },
      '/rules/1/condition',
    ],
    ['settings that there are not', { verdict: 1, settings: { colour: 'red' } }, '/settings/colour'],
  ])('%s', (_what, document, pointer) => {
    expect(pointers(problemsOf(JSON.parse(JSON.stringify(document))))).toContain(pointer)
  })

  test('all that is wrong is told at once, and each thing once', () => {
    const problems = problemsOf({
      verdict: 1,
      rules: [{ ...RULE, effect: 'x', subjects: [{ team: 1 }, { any: false }] }],
      roles: [{}],
    })
    expect(pointers(problems).sort()).toEqual([
      '/roles/0/name',
      '/rules/0/effect',
      '/rules/0/subjects/0',
      '/rules/0/subjects/1/any',
    ])
    expect(problems.find(({ pointer }) => pointer === '/rules/0/effect')?.detail).toBe(
      'must be one of: "allow", "deny"',
    )
    expect(problems.find(({ pointer }) => pointer === '/rules/0/subjects/0')?.detail).toBe(
      'must be one of: {role}, {type, id}, {any}',
    )
  })

  test('what an instant looks like is told where there is none', () => {
    const rules = [{ ...RULE, valid_until: 'March 7 2030' }]
    expect(problemsOf({ verdict: 1, rules })).toEqual([
      {
        pointer: '/rules/0/valid_until',
        detail: 'must be one of: an RFC 3339 date-time such as 2030-01-31T08:00:00Z, null',
      },
    ])
  })

  test('a document with very many faults does not make a list as long', () => {
    const rules = Array.from({ length: 5000 }, () => ({}))
    expect(problemsOf({ verdict: 1, rules }).length).toBeLessThanOrEqual(1000)
  })
})

describe('a request', () => {
  const request = { subject: USER, action: { name: 'read' }, resource: { type: 'doc', id: 'x' } }

  test('may hold members that nobody knows', () => {
    expect(parseRequest({ ...request, evaluations: [] })).toMatchObject({ request })
  })

  test('is refused where something is missing or of another type', () => {
    expect(parseRequest({ ...request, action: 'read' })).toMatchObject({ problems: [{ pointer: '/action' }] })
    expect(parseRequest({ ...request, subject: { type: 'user', id: null } })).toMatchObject({
      problems: [{ pointer: '/subject/id' }],
    })
  })
})

test('a condition is refused with its line and column', () => {
  expect(checkRule({ ...RULE, condition: 'true &&\n  nobody == 1' })).toEqual([
    { pointer: '/condition', detail: 'line 2, column 3: Unknown variable: nobody' },
  ])
  const role: Role = {
    name: 'r',
    permissions: [{ ...RULE, condition: 'x' }].map(({ actions, resources, condition }) => ({
      actions,
      resources,
      condition,
    })),
    derived: { from: ['b'], condition: 'y' },
  }
  expect(pointers(checkRole(role))).toEqual(['/permissions/0/condition', '/derived/condition'])
})

test('a pattern that escapes nothing is refused', () => {
  expect(pointers(checkRule({ ...RULE, resources: [{ type: 'doc' }, { type: 'doc', id: 'a\\' }] }))).toEqual([
    '/resources/1/id',
  ])
})

test('a validity that ends before it begins is refused, and an instant that the calendar does not have', () => {
  expect(
    pointers(checkRule({ ...RULE, valid_from: '2031-01-01T00:00:00Z', valid_until: '2030-01-01T00:00:00Z' })),
  ).toEqual(['/valid_until'])
  expect(pointers(checkRule({ ...RULE, valid_until: '2030-12-31T23:59:60Z' }))).toEqual(['/valid_until'])
  expect(
    pointers(
      checkAssignment({
        subject: USER,
        role: 'r',
        valid_from: '2030-01-01T00:00:00Z',
        valid_until: '2030-01-01T01:00:00+01:00',
      }),
    ),
  ).toEqual(['/valid_until'])
})

test.each(['9999-12-31T23:59:59-23:59', '0000-01-01T00:00:00Z', '0001-01-01T00:00:00+00:01'])(
  '%s is no instant that every part can hold',
  (instant) => {
    expect(pointers(checkRule({ ...RULE, valid_until: instant }))).toEqual(['/valid_until'])
    const assignment = { subject: USER, role: 'r', valid_from: instant, valid_until: instant }
    expect(pointers(checkAssignment(assignment))).toEqual(['/valid_from', '/valid_until'])
  },
)

test.each(['9999-12-31T23:59:59.999Z', '0001-01-01T00:00:00Z'])('%s is an instant', (instant) => {
  expect(pointers(checkRule({ ...RULE, valid_from: instant }))).toEqual([])
})

test.each(['roles', 'capabilities', 'pdp', 'pdp:x'])('no rule can be put into the policy %s', (policy) => {
  expect(pointers(checkRule({ ...RULE, policy }))).toEqual(['/policy'])
})

test('nothing but an assignment names what begins with pdp:', () => {
  const ours = { type: 'pdp:rule', id: 'x' }
  expect(pointers(checkRule({ ...RULE, name: 'pdp:r' }))).toEqual(['/name'])
  expect(pointers(checkRule({ ...RULE, subjects: [{ role: 'pdp:admin' }, ours] }))).toEqual([
    '/subjects/0/role',
    '/subjects/1/type',
  ])
  expect(pointers(checkRule({ ...RULE, actions: ['read', 'pdp:write'] }))).toEqual(['/actions/1'])
  expect(pointers(checkRule({ ...RULE, resources: [{ type: 'pdp:rule' }, { type: 'doc', within: ours }] }))).toEqual([
    '/resources/0/type',
    '/resources/1/within/type',
  ])
  expect(
    pointers(
      checkRole({ name: 'pdp:x', inherits: ['pdp:admin'], derived: { from: ['pdp:admin'], condition: 'true' } }),
    ),
  ).toEqual(['/name', '/inherits/0', '/derived/from/0'])
  expect(pointers(checkPolicy({ name: 'pdp' }))).toEqual(['/name'])
  expect(pointers(checkPolicy({ name: 'p', target: { resource_types: ['pdp:rule'], actions: ['pdp:read'] } }))).toEqual(
    ['/target/resource_types/0', '/target/actions/0'],
  )
  expect(pointers(checkType({ name: 'pdp:x', actions: ['pdp:read'] }))).toEqual(['/name', '/actions/0'])
  expect(pointers(checkEntity({ ...ours, parents: [ours] }))).toEqual(['/type', '/parents/0/type'])
  expect(pointers(checkAssignment({ subject: USER, role: 'pdp:admin' }))).toEqual([])
  expect(pointers(checkAssignment({ subject: USER, role: 'pdp:admin', within: USER }))).toEqual(['/within'])
})

test('of a choice, what is wrong within the one that was meant is told, and where none was, what there is', () => {
  const wrong = (subject: object) => problemsOf({ verdict: 1, rules: [{ ...RULE, subjects: [subject, { id: 1 }] }] })
  const none = { pointer: '/rules/0/subjects/1', detail: 'must be one of: {role}, {type, id}, {any}' }
  expect(wrong({ type: 'user', id: 5 })).toEqual([
    { pointer: '/rules/0/subjects/0/id', detail: 'must be string' },
    none,
  ])
  expect(wrong({ role: 'r', since: 1 })).toEqual([
    { pointer: '/rules/0/subjects/0/since', detail: 'is not a member that is known here' },
    none,
  ])
  expect(wrong({ team: 'x' })).toEqual([{ ...none, pointer: '/rules/0/subjects/0' }, none])
})
