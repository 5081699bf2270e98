import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verdict } from './run.ts'

const QUICKSTART = new URL('../../presets/quickstart.yaml', import.meta.url).pathname
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verdict-check-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

const edit = (subject: string, document: string) =>
  JSON.stringify({
    subject: { type: 'user', id: subject },
    action: { name: 'document:edit' },
    resource: { type: 'document', id: document },
  })

test('an allow is told with its rule, and the status is 0', async () => {
  const question = await file('question.json', edit('alice', 'plan'))
  expect(await verdict(['check', '--policy', QUICKSTART, question])).toEqual({
    status: 0,
    stdout: 'allow  allowed_by_rule\nrule   default/editors-edit-what-they-own\n',
    stderr: '',
  })
})

test('a deny is told with its reason, and the status is 3', async () => {
  expect(await verdict(['check', '-p', QUICKSTART, '-'], { stdin: edit('alice', 'plan-2019') })).toEqual({
    status: 3,
    stdout: 'deny   denied_by_rule\nrule   default/the-archive-is-read-only\n',
    stderr: '',
  })
})

test('as JSON, the answer has the shape of the API’s', async () => {
  const { status, stdout } = await verdict(['check', '-p', QUICKSTART, '-', '--json'], { stdin: edit('bob', 'plan') })
  expect(status).toBe(3)
  expect(JSON.parse(stdout)).toEqual({
    decision: false,
    context: { reason: 'no_applicable_rule', rules: [], obligations: [] },
  })
})

test('obligations are told', async () => {
  const policy = await file(
    'mask.yaml',
    `verdict: 1
rules:
  - name: read-masked
    effect: allow
    subjects: [{any: true}]
    actions: [read]
    resources: [{type: person}]
    obligations: [{id: mask-mail, type: mask, properties: {fields: {email: email}}}]
`,
  )
  const stdin = '{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"person","id":"b"}}'
  const { stdout } = await verdict(['check', '-p', policy, '-'], { stdin })
  expect(stdout).toContain('do     mask (mask-mail) {"fields":{"email":"email"}}\n')
})

test('a rule with a validity is decided as of --now', async () => {
  const policy = await file(
    'valid.yaml',
    `verdict: 1
rules:
  - {name: in-2030, effect: allow, subjects: [{any: true}], actions: ["*"], resources: [{type: "*"}],
     valid_from: "2030-01-01T00:00:00Z", valid_until: "2031-01-01T00:00:00Z"}
`,
  )
  const asOf = (now: string) => verdict(['check', '-p', policy, '-', '--now', now], { stdin: edit('alice', 'plan') })
  expect((await asOf('2029-12-31T23:59:59Z')).status).toBe(3)
  expect((await asOf('2030-01-01T00:00:00Z')).status).toBe(0)
  expect((await asOf('2031-01-01T00:00:00Z')).status).toBe(3)
})

test.each([
  ['a request that is no JSON', '{"subject": ', /could not read standard input/],
  [
    'a request that repeats a member',
    edit('alice', 'plan').replace('{', '{"subject":{},'),
    /could not read standard input: .*\n {2}\/subject: line 1: the member stands twice/,
  ],
  ['a request without a resource', '{"subject":{"type":"user","id":"a"},"action":{"name":"b"}}', /resource/],
  [
    'a whole number that no double holds',
    `${edit('alice', 'plan').slice(0, -1)},"context":{"n":9007199254740993}}`,
    /beyond 2\^53/,
  ],
  ['an id that is a number', edit('alice', 'plan').replace('"alice"', '7'), /\/subject\/id/],
  ['an id with a control character', edit('al\u0000ice', 'plan'), /\/subject\/id/],
])('%s is refused with its place, with status 1', async (_title, stdin, message) => {
  const { status, stdout, stderr } = await verdict(['check', '-p', QUICKSTART, '-'], { stdin })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(message)
})

test('members that nobody knows are ignored in a request', async () => {
  const stdin = edit('alice', 'plan').replace('{', '{"wish":"please",')
  expect((await verdict(['check', '-p', QUICKSTART, '-'], { stdin })).status).toBe(0)
})

test('everything that is wrong with a policy is told at once, each with its place', async () => {
  const policy = await file(
    'wrong.yaml',
    `verdict: 1
roles: [{name: "pdp:admin"}]
rules:
  - {name: a, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}], condition: "1 +"}
  - {name: b, effect: maybe, subjects: [], actions: [read], resources: [{type: doc}]}
`,
  )
  const { status, stderr } = await verdict(['check', '-p', policy, '-'], { stdin: edit('alice', 'plan') })
  expect(status).toBe(1)
  expect(stderr).toContain('/rules/1/effect')
  expect(stderr).toContain('/rules/1/subjects')
})

test('properties that do not fit their type are refused with their place, or warned of', async () => {
  const policy = (onInvalid: string) =>
    file(
      `${onInvalid}.yaml`,
      `verdict: 1
types: [{name: document, on_invalid: ${onInvalid}, schema: {properties: {size: {type: integer}}}}]
`,
    )
  const stdin = edit('alice', 'plan').replace('"plan"', '"plan","properties":{"size":"big"}')
  const refused = await verdict(['check', '-p', await policy('reject'), '-'], { stdin })
  expect(refused).toMatchObject({ status: 1, stdout: '' })
  expect(refused.stderr).toContain('/resource/properties/size')
  const warned = await verdict(['check', '-p', await policy('warn'), '-'], { stdin })
  expect(warned.stdout).toBe('deny   no_applicable_rule\nwarn   /resource/properties/size must be integer\n')
  const json = await verdict(['check', '-p', await policy('warn'), '-', '--json'], { stdin })
  expect(JSON.parse(json.stdout).context.warnings).toEqual([
    { pointer: '/resource/properties/size', detail: 'must be integer' },
  ])
})

test('a file that is not there is named', async () => {
  const { status, stderr } = await verdict(['check', '-p', join(folder, 'none.yaml'), '-'], { stdin: '{}' })
  expect(status).toBe(1)
  expect(stderr).toContain('none.yaml')
})

test('--now takes an instant with a zone, and nothing else', async () => {
  for (const now of ['tomorrow', '2030-01-31', '2030-01-31T08:00:00', '2030-02-30T08:00:00Z']) {
    const { status, stderr } = await verdict(['check', '-p', QUICKSTART, '-', '--now', now], { stdin: '{}' })
    expect(status).toBe(1)
    expect(stderr).toContain(`--now takes an RFC 3339 instant such as 2030-01-31T08:00:00Z, not ${now}`)
  }
})

test.each([
  ['a role that is not there', 'assignments: [{subject: {type: user, id: a}, role: edtor}]', '/assignments/0/role'],
  [
    'a policy that is not there',
    'rules: [{name: r, policy: acl, effect: allow, subjects: [{any: true}], actions: [a], resources: [{type: d}]}]',
    '/rules/0/policy',
  ],
  ['a name that stands twice', 'roles: [{name: r}, {name: r}]', '/roles/1'],
  ['roles in a circle', 'roles: [{name: a, inherits: [b]}, {name: b, inherits: [a]}]', '/roles/0/inherits/0'],
  ['parents in a circle', 'entities: [{type: g, id: a, parents: [{type: g, id: a}]}]', '/entities/0/parents/0'],
  ['a built-in role', 'assignments: [{subject: {type: user, id: a}, role: "pdp:admin"}]', '/assignments/0/role'],
  ['an anchor', 'roles: [&r {name: r}]', '/roles/0'],
])('a policy with %s is refused with its place, as a service would', async (_title, section, pointer) => {
  const policy = await file('refused.yaml', `verdict: 1\n${section}\n`)
  const { status, stdout, stderr } = await verdict(['check', '-p', policy, '-'], { stdin: edit('a', 'plan') })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toContain(`${pointer}: `)

  const cases = await file(
    'refused.cases.yaml',
    `policy: refused.yaml\ncases: [{name: c, request: ${edit('a', 'plan')}, want: {decision: false}}]\n`,
  )
  const tested = await verdict(['test', cases])
  expect(tested.status).not.toBe(0)
  expect(tested.stdout + tested.stderr).toContain(pointer)
})

test('a policy with too many patterns that nothing could be found by is no valid one', async () => {
  const rules = Array.from({ length: 1001 }, (_, at) => ({
    name: `rule-${at}`,
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['read'],
    resources: [{ type: 'doc', id: '??' }],
  }))
  const policy = await file('vague.json', JSON.stringify({ verdict: 1, rules }))
  const { status, stderr } = await verdict(['check', '-p', policy, '-'], { stdin: edit('alice', 'plan') })
  expect(status).toBe(1)
  expect(stderr).toContain('/rules/1000/resources/0/id')
  expect(stderr).not.toContain('/rules/999/')
  expect(stderr).toContain('1,000 rules about the type doc and the action read')
})
