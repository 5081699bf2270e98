import { describe, expect, test } from 'vitest'
import { DEFAULT_NOW, differences, parseCases } from '../../src/policy/cases.ts'

const REQUEST = 'request: {subject: {type: user, id: u}, action: {name: a}, resource: {type: doc, id: x}}'
const CASE = `- {name: one, ${REQUEST}, want: {decision: true}}`
const file = (cases: string, policy = 'policy: p.yaml') => `${policy}\ncases:\n${cases}\n`

function problemsOf(text: string) {
  const read = parseCases(text)
  return 'problems' in read ? read.problems.map(({ line, pointer, detail }) => `${line} ${pointer}: ${detail}`) : []
}

test('a file of cases is read with the place of each case', () => {
  const read = parseCases(
    `# why\npolicy: p.yaml\ncases:\n  ${CASE}\n  - name: two\n    ${REQUEST}\n    want: {decision: false}\n`,
  )
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  expect(read.policy).toBe('p.yaml')
  expect(read.cases.map(({ name, line, now }) => ({ name, line, now }))).toEqual([
    { name: 'one', line: 4, now: DEFAULT_NOW },
    { name: 'two', line: 5, now: DEFAULT_NOW },
  ])
})

test('JSON is read as well', () => {
  const json = JSON.stringify({
    policy: 'p.yaml',
    cases: [{ name: 'one', request: request(), want: { decision: true } }],
  })
  expect(problemsOf(json)).toEqual([])
})

const request = () => ({
  subject: { type: 'user', id: 'u' },
  action: { name: 'a' },
  resource: { type: 'doc', id: 'x' },
})

test('what is written once may be used often', () => {
  const uses = Array.from({ length: 500 }, (_, at) => `- {name: n${at}, request: *r, want: {decision: true}}`)
  const first = `- {name: one, request: &r {subject: {type: user, id: u}, action: {name: a}, resource: {type: doc, id: x}}, want: {decision: true}}`
  expect(problemsOf(file([first, ...uses].join('\n')))).toEqual([])
})

describe('refused, with line and pointer, is', () => {
  test.each<readonly [string, string, RegExp]>([
    ['an empty file', '', /^1 : the file is empty/],
    ['a file of comments', '# nothing\n', /^1 : the file is empty/],
    ['a file that is a list', '- a\n', /^1 : must be object/],
    ['a file without cases', 'policy: p.yaml\n', /^1 \/cases: is required/],
    ['a file with no case', 'policy: p.yaml\ncases: []\n', /^2 \/cases: no case/],
    ['cases that are none', 'policy: p.yaml\ncases:\n', /^2 \/cases: must be array/],
    ['half a document', 'policy: p.yaml\ncases: [\n', /^\d \S*: .*flow/i],
    ['two documents', `${file(CASE)}---\n${file(CASE)}`, /^4 : .*multiple documents/],
    ['a member that stands twice', `policy: a\npolicy: b\n${file(CASE, '')}`, /^2 : Map keys must be unique/],
    ['an anchor that is not there', file('- *nobody'), /^3 : .*nobody/],
    ['a tag that nobody knows', file(CASE, 'policy: !path p.yaml'), /^1 : .*tag/],
    [
      'a member of the file that nobody knows',
      `${file(CASE)}case: []\n`,
      /^4 \/case: is not a member that is known here/,
    ],
    [
      'a member of a case that nobody knows',
      file(`- {name: n, ${REQUEST}, want: {decision: true}, skip: true}`),
      /^3 \/cases\/0\/skip: is not a member/,
    ],
    [
      'a member of what is wanted that nobody knows',
      file(`- name: n\n  ${REQUEST}\n  want: {decision: true,\n    rule: x}`),
      /^6 \/cases\/0\/want\/rule: is not a member/,
    ],
    [
      'a member of the request that nobody knows',
      file(CASE.replace('resource:', 'contxt: {}, resource:')),
      /^3 \/cases\/0\/request\/contxt: is not a member/,
    ],
    [
      'a member of the subject that nobody knows',
      file(CASE.replace('id: u', 'id: u, propertis: {}')),
      /^3 \/cases\/0\/request\/subject\/propertis: is not a member/,
    ],
    [
      'a minimal revision, which a case has none of',
      file(CASE.replace('resource:', 'options: {}, resource:')),
      /^3 \/cases\/0\/request\/options: is not a member/,
    ],
    ['a case without a name', file(`- {${REQUEST}, want: {decision: true}}`), /^3 \/cases\/0\/name: is required/],
    ['a name that is a number', file(CASE.replace('one', '1')), /^3 \/cases\/0\/name: must be string/],
    ['a name of two lines', file(CASE.replace('one', '"a\\nb"')), /^3 \/cases\/0\/name: must match/],
    ['a name that stands twice', file(`${CASE}\n${CASE}`), /^4 \/cases\/1\/name: another case has this name/],
    ['a case without a request', file('- {name: n, want: {decision: true}}'), /^3 \/cases\/0\/request: is required/],
    [
      'a request without a resource',
      file('- {name: n, request: {subject: {type: u, id: u}, action: {name: a}}, want: {decision: true}}'),
      /^3 \/cases\/0\/request\/resource: is required/,
    ],
    [
      'an id that is a number',
      file(CASE.replace('id: u', 'id: 7')),
      /^3 \/cases\/0\/request\/subject\/id: must be string/,
    ],
    [
      'a case that wants nothing',
      file(`- {name: n, ${REQUEST}, want: {}}`),
      /^3 \/cases\/0\/want\/decision: is required/,
    ],
    ['a case without what it wants', file(`- {name: n, ${REQUEST}}`), /^3 \/cases\/0\/want: is required/],
    [
      'a decision as text',
      file(CASE.replace('decision: true', 'decision: allow')),
      /^3 \/cases\/0\/want\/decision: must be boolean/,
    ],
    [
      'a reason that there is not',
      file(CASE.replace('decision: true', 'decision: true, reason: alowed')),
      /^3 \/cases\/0\/want\/reason: must be one of: "allowed_by_rule", /,
    ],
    [
      'rules as text',
      file(CASE.replace('decision: true', 'decision: true, rules: a/b')),
      /^3 \/cases\/0\/want\/rules: must be array/,
    ],
    [
      'an instant without a zone',
      file(CASE.replace('name: one', 'name: one, now: 2030-01-01T00:00:00')),
      /^3 \/cases\/0\/now: /,
    ],
    [
      'a day that there is not',
      file(CASE.replace('name: one', 'name: one, now: 2030-02-30T00:00:00Z')),
      /^3 \/cases\/0\/now: /,
    ],
    [
      'a leap second, which clocks here do not know',
      file(CASE.replace('name: one', 'name: one, now: 2016-12-31T23:59:60Z')),
      /^3 \/cases\/0\/now: is no instant/,
    ],
    [
      'an action of Verdict’s own, which no policy decides',
      file(CASE.replace('name: a}', 'name: "pdp:read"}')),
      /^3 \/cases\/0\/request\/action\/name: is decided by the built-in policy alone/,
    ],
    [
      'a resource of Verdict’s own',
      file(CASE.replace('type: doc', 'type: "pdp:rule"')),
      /^3 \/cases\/0\/request\/resource\/type: is decided by the built-in policy alone/,
    ],
    ['a policy that is a number', file(CASE, 'policy: 7'), /^1 \/policy: must be one of/],
    [
      'a policy with a rule that is none',
      file(CASE, 'policy:\n  verdict: 1\n  rules:\n    - {name: r}'),
      /^4 \/policy\/rules\/0\/effect: is required/,
    ],
    [
      'a policy with a condition that does not compile',
      file(
        CASE,
        'policy:\n  verdict: 1\n  roles:\n    - name: r\n      permissions:\n        - {actions: [a], resources: [{type: d}], condition: "1 +"}',
      ),
      /^6 \/policy\/roles\/0\/permissions\/0\/condition: line 1/,
    ],
  ])('%s', (_what, text, wanted) => {
    expect(problemsOf(text)).toContainEqual(expect.stringMatching(wanted))
  })

  test('all that is wrong at once', () => {
    const text = file(`- {name: n, ${REQUEST}, want: {decision: 1}}\n- {name: m, ${REQUEST}, want: {}}\n- 7`)
    expect(problemsOf(text).map((problem) => problem.split(':')[0])).toEqual([
      '3 /cases/0/want/decision',
      '4 /cases/1/want/decision',
      '5 /cases/2',
    ])
  })

  test('a document that is made to blow up', () => {
    const levels = Array.from({ length: 9 }, (_, at) => `&l${at + 1} [${`*l${at},`.repeat(10)}]`)
    expect(problemsOf(`x: [&l0 a, ${levels.join(', ')}]\n`)).toEqual([expect.stringContaining('Excessive alias count')])
  })
})

describe('an answer', () => {
  const got = {
    decision: true,
    reason: 'allowed_by_rule',
    rules: ['default/a', 'default/b'],
    obligations: [{ id: 'm', type: 'mask', properties: { fields: ['x'] } }],
  } as const
  const members = (want: Parameters<typeof differences>[0]) => differences(want, got).map(({ member }) => member)

  test('is held against what is wanted, and no more', () => {
    expect(members({ decision: true })).toEqual([])
    expect(
      members({ decision: true, reason: 'allowed_by_rule', rules: [...got.rules], obligations: [...got.obligations] }),
    ).toEqual([])
    expect(members({ decision: false, reason: 'denied_by_rule' })).toEqual(['decision', 'reason'])
  })

  test('has what is wanted of lists in whole and in order', () => {
    expect(members({ decision: true, rules: ['default/a'] })).toEqual(['rules'])
    expect(members({ decision: true, rules: ['default/b', 'default/a'] })).toEqual(['rules'])
    expect(members({ decision: true, rules: [] })).toEqual(['rules'])
    expect(members({ decision: true, obligations: [{ id: 'm', type: 'mask' }] })).toEqual(['obligations'])
    expect(members({ decision: true, obligations: [] })).toEqual(['obligations'])
  })
})
