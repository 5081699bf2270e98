import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { progressOn } from '../../src/cli/test/progress.ts'
import { paced } from '../../src/cli/test/run.ts'
import { verdict } from './run.ts'

const PRESETS = new URL('../../presets/', import.meta.url).pathname
const QUICKSTART = join(PRESETS, 'quickstart.yaml')
const QUICKSTART_CASES = join(PRESETS, 'quickstart.cases.yaml')

let root: string
let folder: string
let count = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'verdict-test-'))
})
beforeEach(() => {
  folder = join(root, String(++count))
})
afterAll(() => rm(root, { recursive: true }))

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
}

const request = (more = '') =>
  `{subject: {type: user, id: u}, action: {name: read}, resource: {type: doc, id: x}${more}}`
const cases = (policy: string, ...lines: string[]) =>
  `policy: ${policy}\ncases:\n${lines.map((line) => `  - ${line}\n`).join('')}`
const denied = (name: string) => `{name: ${JSON.stringify(name)}, request: ${request()}, want: {decision: false}}`
const allowed = (name: string) => `{name: ${JSON.stringify(name)}, request: ${request()}, want: {decision: true}}`
const EMPTY = '{verdict: 1}'

/** The preset with a fault in it, and its cases beside it. */
async function broken(from: string, to: string): Promise<string> {
  const policy = await readFile(QUICKSTART, 'utf8')
  expect(policy).toContain(from)
  await file('quickstart.yaml', policy.replace(from, to))
  return file('quickstart.cases.yaml', await readFile(QUICKSTART_CASES, 'utf8'))
}

test('cases that pass are counted by file, and the status is 0', async () => {
  const { status, stdout, stderr } = await verdict(['test', QUICKSTART_CASES])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(
    /^ok {4}.*quickstart\.cases\.yaml {2}9 cases\n\n9 of 9 cases passed {2}\(1 file, [\d.]+ m?s\)\n$/,
  )
})

test('a wrong rule is told by the cases that it breaks: where they stand, what they got, and why; the status is 1', async () => {
  const path = await broken('within: {type: folder, id: archive}', 'within: {type: folder, id: archiv}')
  const { status, stdout } = await verdict(['test', path])
  expect(status).toBe(1)
  expect(stdout.replace(/[\d.]+ m?s\)/, '7 ms)')).toBe(`FAIL  ${path}  9 cases, 1 failed

  nobody edits what lies in the archive, owner or not  ${path}:8
    asked        user alice, document:edit, document plan-2019
                 as of 2030-01-01T00:00:00Z
    decision     wanted false
                 got    true
    reason       wanted denied_by_rule
                 got    allowed_by_rule
    rules        wanted default/the-archive-is-read-only
                 got    default/editors-edit-what-they-own
    why          roles held: editor, reader
                 default/editors-edit-what-they-own (allow): applies

8 of 9 cases passed, 1 failed  (1 file, 7 ms)
`)
})

test('why names what erred, what failed, and roles of which nothing can be told', async () => {
  const policy = `
  verdict: 1
  roles:
    - {name: member}
    - {name: owner, derived: {from: [member], condition: resource.properties.owner == subject.id}}
  policies: [{name: aside, target: {actions: [write]}}]
  rules:
    - {name: erring, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}], condition: context.none}
    - {name: failing, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}], condition: 1 > 2}
    - {name: later, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}], valid_from: 2040-01-01T00:00:00Z}
    - {name: elsewhere, policy: aside, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}]}
  assignments: [{subject: {type: user, id: u}, role: member}]`
  const path = await file('a.yaml', cases(policy, allowed('one')))
  const { stdout } = await verdict(['test', path])
  for (const line of [
    'roles held: member',
    'roles that cannot be told, since a condition errs: owner',
    'aside/elsewhere (allow): the target of its policy does not match',
    'default/erring (allow): its condition cannot be told: it errs',
    'default/failing (allow): its condition is not met',
    'default/later (allow): is not valid at that time',
  ])
    expect(stdout).toContain(line)
})

describe('what cannot be run is an error, and never passes in silence:', () => {
  test.each<readonly [string, (path: string) => string, RegExp]>([
    [
      'a malformed case',
      () => cases(EMPTY, denied('a'), '{name: b}'),
      /^ {2}.*a\.yaml:4:5: \/cases\/1\/request: is required/m,
    ],
    ['a policy that is not there', () => cases('none.yaml', denied('a')), /^ {2}.*none\.yaml: there is no such file$/m],
    ['no policy', () => `cases: [${denied('a')}]`, /^ {2}.*a\.yaml:1:1: names no policy/m],
    ['an empty file', () => '', /^ {2}.*a\.yaml:1:1: the file is empty/m],
    [
      'a policy that is none',
      (path) => cases(path, denied('a')),
      /a\.yaml:1:1: \/policy: is not a member that is known here/,
    ],
  ])('%s', async (_what, text, wanted) => {
    const path = join(folder, 'a.yaml')
    await file('a.yaml', text('a.yaml'))
    const good = await file('b.yaml', cases(EMPTY, denied('fine')))
    const { status, stdout } = await verdict(['test', path, good])
    expect(status).toBe(1)
    expect(stdout).toContain(`ERROR ${path}  was not run`)
    expect(stdout).toContain(`ok    ${good}  1 case`)
    expect(stdout).toContain('1 of 1 case passed, 1 file not run')
    expect(stdout).toMatch(wanted)
  })

  test('a policy that is refused, with its own lines', async () => {
    await file('policy.yaml', 'verdict: 1\nrules:\n  - name: r\n    effect: maybe\n')
    const path = await file('a.yaml', cases('policy.yaml', denied('a')))
    const { status, stdout } = await verdict(['test', path])
    expect(status).toBe(1)
    expect(stdout).toContain(`  ${join(folder, 'policy.yaml')}:4:5: /rules/0/effect: must be one of: "allow", "deny"`)
  })

  test.each([
    ['a folder without cases', ['.'], /nothing was tested: no file of cases in /],
    ['a filter that finds none', ['a.yaml', '--filter', 'zzz'], /nothing was tested: no case has "zzz" in its name/],
    ['a path that is not there', ['none.yaml'], /could not read .*none\.yaml: there is no such file\n$/],
    [
      'JUnit output that cannot be written',
      ['a.yaml', '--junit', '/dev/null/x.xml'],
      /could not write \/dev\/null\/x\.xml/,
    ],
  ])('%s', async (_what, [name = '', ...options], wanted) => {
    await file('sub/a.yaml', cases(EMPTY, denied('a')))
    const { status, stderr } = await verdict([
      'test',
      name === '.' ? await empty() : join(folder, 'sub', name),
      ...options,
    ])
    expect(status).toBe(1)
    expect(stderr).toMatch(wanted)
  })

  async function empty(): Promise<string> {
    await file('empty/policy.yaml', EMPTY)
    return join(folder, 'empty')
  }
})

test('of a folder, all that holds cases is taken, each file once', async () => {
  const text = cases(EMPTY, denied('a'))
  const a = await file('deep/er/a.cases.yaml', text)
  const b = await file('b.yml', text)
  const c = await file(
    'c.cases.json',
    JSON.stringify({ policy: { verdict: 1 }, cases: [] }).replace('[]', `[${JSON.stringify(asked())}]`),
  )
  await file('policy.yaml', EMPTY)
  await file('other.yaml', 'test:\n  cases: []\n')
  await file('.hidden/d.cases.yaml', 'broken: [')
  await file('node_modules/e.cases.yaml', 'broken: [')
  await file('notes.md', 'cases: []')
  await symlink(b, join(folder, 'z.cases.yaml'))
  const { status, stdout } = await verdict(['test', folder, b, `${folder}/deep/../b.yml`])
  expect(status).toBe(0)
  const files = stdout
    .split('\n')
    .filter((line) => line.startsWith('ok'))
    .map((line) => line.split(/ +/)[1])
  expect(files).toEqual([b, c, a, join(folder, 'z.cases.yaml')])
})

const asked = () => ({
  name: 'json',
  request: { subject: { type: 'user', id: 'u' }, action: { name: 'read' }, resource: { type: 'doc', id: 'x' } },
  want: { decision: false },
})

test('a file in a folder that is named like cases and holds none is an error', async () => {
  await file('a.cases.yaml', 'case: []\n')
  const { status, stdout } = await verdict(['test', folder])
  expect(status).toBe(1)
  expect(stdout).toContain('/case: is not a member that is known here')
})

test('a file in which no case matches the filter is not ok, but said to have none', async () => {
  const path = await file('a.yaml', cases(EMPTY, denied('a')))
  const some = await verdict(['test', path, QUICKSTART_CASES, '--filter', 'archive'])
  expect(some.status).toBe(0)
  expect(some.stdout).toContain(`none  ${path}  no case matches\nok    ${QUICKSTART_CASES}`)
  const none = await verdict(['test', path, '--filter', 'zzz'])
  expect(none.status).toBe(1)
  expect(none.stdout).toMatch(/^none {2}.*a\.yaml {2}no case matches\n/)
  expect(none.stdout).not.toContain('ok ')
})

test('--filter runs the cases with the text in their name, in capitals or not', async () => {
  const { status, stdout } = await verdict(['test', QUICKSTART_CASES, '--filter', 'ARCHIVE'])
  expect(status).toBe(0)
  expect(stdout).toContain('2 of 2 cases passed')
})

test('--policy asks another policy than the files name', async () => {
  const open = await file(
    'open.yaml',
    'verdict: 1\nrules: [{name: all, effect: allow, subjects: [{any: true}], actions: ["*"], resources: [{type: "*"}]}]',
  )
  const path = await file('a.yaml', cases(EMPTY, denied('a')))
  const unnamed = await file('b.yaml', `cases: [${allowed('b')}]`)
  expect((await verdict(['test', path])).status).toBe(0)
  expect((await verdict(['test', path, '--policy', open])).status).toBe(1)
  expect((await verdict(['test', unnamed, '-p', open])).status).toBe(0)
})

test('a case is decided as of its own instant, and otherwise always as of the same', async () => {
  const policy = `{verdict: 1, rules: [{name: r, effect: allow, subjects: [{any: true}], actions: [read], resources: [{type: doc}],
    valid_from: 2030-01-01T00:00:00Z, valid_until: 2030-01-01T00:00:01Z}]}`
  const later = `{name: later, now: 2030-01-01T00:00:01Z, request: ${request()}, want: {decision: false}}`
  const path = await file('a.yaml', cases(policy, allowed('by default'), later))
  expect((await verdict(['test', path])).status).toBe(0)
})

test('--json prints one line with every case, and the decision where it is another', async () => {
  const path = await broken('effect: deny', 'effect: allow')
  const { status, stdout } = await verdict(['test', path, '--json', '--coverage'])
  expect(status).toBe(1)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  const report = JSON.parse(stdout)
  expect(report).toMatchObject({ cases: 9, passed: 8, failed: 1, errors: 0 })
  expect(report.files[0].cases[0]).toEqual({
    name: 'an editor edits what they own',
    line: 4,
    passed: true,
    duration_ms: expect.any(Number),
  })
  expect(report.files[0].cases[1]).toMatchObject({
    line: 8,
    passed: false,
    differences: [
      { member: 'decision', wanted: false, got: true },
      { member: 'reason', wanted: 'denied_by_rule', got: 'allowed_by_rule' },
      { member: 'rules', wanted: ['default/the-archive-is-read-only'], got: expect.any(Array) },
    ],
    decision: { decision: true, reason: 'allowed_by_rule' },
    why: { roles: ['editor', 'reader'] },
  })
  expect(report.coverage[0]).toMatchObject({ policy: join(folder, 'quickstart.yaml') })
  expect(report.coverage[0].rules[0]).toMatchObject({ rule: 'default/editors-edit-what-they-own', line: 18 })
})

test('--json tells what could not be run', async () => {
  const path = await file('a.yaml', 'cases: []\n')
  const { status, stdout } = await verdict(['test', path, '--json'])
  expect(status).toBe(1)
  const [report] = JSON.parse(stdout).files
  expect(report.problems).toEqual([{ file: path, line: 1, column: 1, pointer: '/cases', detail: expect.any(String) }])
})

test('--coverage names the rules, permissions and roles that no case decided by, and where they stand', async () => {
  const policy = await file('policy.yaml', await readFile(QUICKSTART, 'utf8'))
  const alice =
    '{subject: {type: user, id: alice}, action: {name: "document:edit"}, resource: {type: document, id: plan}}'
  const path = await file('a.yaml', cases('policy.yaml', `{name: a, request: ${alice}, want: {decision: true}}`))
  const { status, stdout } = await verdict(['test', path, '--coverage'])
  expect(status).toBe(0)
  expect(stdout).toContain(`Coverage of ${policy}
  decided by: rules 1 of 2, permissions 0 of 1, roles 1 of 2
  default/editors-edit-what-they-own (allow)  ${policy}:18
      no case about it came to deny
      its condition never failed
  default/the-archive-is-read-only (deny)  ${policy}:26
      no case was decided by it
  roles/reader, permission 1  ${policy}:10
      no case was decided by it
      no case about it came to deny
  role reader  ${policy}:7
      no case was decided by it
`)
})

describe('on a terminal', () => {
  const ESC = '\u001b['

  test('there are colours, and nowhere else', async () => {
    const path = await broken('effect: deny', 'effect: allow')
    expect((await verdict(['test', path], { isTTY: true })).stdout).toContain(`${ESC}31mFAIL`)
    expect((await verdict(['test', path])).stdout).not.toContain(ESC)
  })

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('there are none with %o', async (env) => {
    expect((await verdict(['test', QUICKSTART_CASES], { isTTY: true, env })).stdout).not.toContain(ESC)
  })

  test('nothing that a file or a policy says is obeyed', async () => {
    const name = 'a\u001b[2Jb'
    const policy = JSON.stringify({
      verdict: 1,
      rules: [
        {
          name: 'r',
          effect: 'allow',
          subjects: [{ any: true }],
          actions: ['read'],
          resources: [{ type: 'doc' }],
          obligations: [{ id: 'o', type: 't', properties: { [name]: '\u009b\u202e' } }],
        },
      ],
    })
    const context = request(`, context: {"a\\u001b[2J": "\\u009b2J"}`)
    const path = await file(
      'a.yaml',
      `policy: ${policy}\ncases: [{name: n, request: ${context}, want: {decision: true, obligations: []}}]`,
    )
    const malformed = await file('b.yaml', `"x\\e[2J": 1\n`)
    const { stdout } = await verdict(['test', path, malformed])
    expect(stdout).toContain('\\u001b[2J')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  })

  test('progress is shown for many cases, and goes away', async () => {
    let shown = ''
    const progress = progressOn({ write: (text) => (shown += text), isTTY: true })
    const pace = paced(progress.show, 0)
    for (let asked = 0; asked < 1200; asked++) await pace()
    progress.clear()
    expect(shown).toContain('\r\u001b[K1,200 cases …')
    expect(shown.endsWith('\r\u001b[K')).toBe(true)
  })

  test('progress is not shown where nobody looks, or where there was nothing to wait for', () => {
    let shown = ''
    const write = (text: string) => (shown += text)
    progressOn({ write }).show(5000)
    progressOn({ write, isTTY: true }).show(10)
    progressOn({ write, isTTY: true }).clear()
    expect(shown).toBe('')
  })
})

test('more failures than anybody reads are counted', async () => {
  const path = await file('a.yaml', cases(EMPTY, ...Array.from({ length: 150 }, (_, at) => allowed(`n${at}`))))
  const { stdout } = await verdict(['test', path])
  expect(stdout.match(/^ {4}asked/gm)).toHaveLength(100)
  expect(stdout).toContain('… and 50 more that failed')
  expect(stdout).toContain('0 of 150 cases passed, 150 failed')
})

test('help teaches the format and every option', async () => {
  const { status, stdout } = await verdict(['test', '--help'])
  expect(status).toBe(0)
  for (const text of [
    'policy: quickstart.yaml',
    'want:',
    '--junit <file>',
    '--watch',
    '--coverage',
    '--filter <text>',
    '$ verdict test presets/quickstart.cases.yaml',
  ])
    expect(stdout).toContain(text)
})
