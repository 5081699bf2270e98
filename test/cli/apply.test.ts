import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startService, type TestService } from '../support/service.ts'
import { type Ran, verdict } from './run.ts'

let service: TestService
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.close())

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verdict-apply-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
}

const env = () => ({ VERDICT_URL: service.url, VERDICT_KEY: service.adminKey })
const run = (...argv: string[]): Promise<Ran> => verdict(argv, { env: env() })

const RULE = '{name: r, effect: allow, subjects: [{role: editor}], actions: ["*"], resources: [{type: document}]}'

test('a file is applied, shown, and applied again without a change', async () => {
  const path = await file('p.yaml', `verdict: 1\nroles: [{name: editor}]\nrules: [${RULE}]\n`)
  const first = await run('apply', path, '--reason', 'first of all')
  expect(first).toEqual({
    status: 0,
    stdout: expect.stringMatching(
      /^\+ role editor\n\+ rule r\nRevision \d+: 2 added, 0 changed, 0 removed, 0 unchanged\.\n$/,
    ),
    stderr: '',
  })
  const again = await run('apply', path)
  expect(again.stdout).toMatch(/^Nothing to change at revision \d+: .* 2 unchanged\.\n$/)
  const changes = await service.ask('GET /v1/changes?limit=1000')
  expect(changes.body.items.at(-1)).toMatchObject({ kind: 'rule', reason: 'first of all' })
})

test('a dry run shows what would change, with before and after, writes nothing, and ends with 3 if anything would', async () => {
  const path = await file(
    'p.yaml',
    `verdict: 1\nroles: [{name: editor, description: "edits\\e[31m"}, {name: reader}]\nrules: []\n`,
  )
  const dry = await run('apply', '--dry-run', path)
  expect(dry.status).toBe(3)
  expect(dry.stdout).toMatch(
    /^~ role editor\n {4}description: "" → "edits\\u001b\[31m"\n\+ role reader\n- rule r\nDry run at revision \d+, nothing written: 1 added, 1 changed, 1 removed, 0 unchanged\.\n$/,
  )
  expect((await service.ask('GET /v1/rules/r')).status).toBe(200)
  expect((await run('apply', path)).status).toBe(0)
  expect((await run('apply', '--dry-run', path)).status).toBe(0)
})

test('--json prints what the server answered', async () => {
  const path = await file('p.json', '{"verdict": 1, "types": [{"name": "document"}]}')
  const { status, stdout } = await run('apply', path, '--json')
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ dry_run: false, added: 1, sections: { types: { added: 1 } } })
})

test('a folder is one bundle: sections of several files, at any depth, without cases and hidden files', async () => {
  await file('a/roles.yaml', 'verdict: 1\nroles: [{name: a}]\nassignments: []')
  await file('b/roles.yml', 'verdict: 1\nroles: [{name: b, inherits: [a]}]')
  await file('settings.json', '{"verdict": 1, "settings": {"rules_in_answers": true}}')
  await file('a/roles.cases.yaml', 'cases: []')
  await file('.git/x.yaml', 'no: bundle')
  await file('README.md', '# no bundle')
  expect((await run('apply', folder)).status).toBe(0)
  const { body } = await service.ask('GET /v1/roles')
  expect(body.items.map(({ name }: { name: string }) => name)).toEqual(['a', 'b'])
})

test('what stands in two files is named with both', async () => {
  const one = await file('one.yaml', 'verdict: 1\nsettings: {}\nroles: [{name: a}]\nentities: [{type: user, id: u}]')
  const two = await file(
    'two.yaml',
    'verdict: 1\nsettings: {}\nroles: [{name: b}, {name: a}]\nentities: [{type: user, id: u}]',
  )
  const { status, stderr } = await run('apply', folder)
  expect(status).toBe(1)
  expect(stderr).toContain(`${two} /roles/1: a stands in ${one} already, at /roles/0\n`)
  expect(stderr).toContain(`${two} /entities/0: user/u stands in ${one} already, at /entities/0\n`)
  expect(stderr).toContain(`${two} /settings: settings stand in ${one} already\n`)
})

test('a problem that the server finds is told with its file and its place in it', async () => {
  await file('one.yaml', 'verdict: 1\nroles: [{name: a}]')
  const two = await file('two.yaml', `verdict: 1\nroles: [{name: b, inherits: [gone]}]\nrules: [${RULE}]`)
  const { status, stderr } = await run('apply', folder)
  expect(status).toBe(1)
  expect(stderr).toContain('2 problems')
  expect(stderr).toContain(`  ${two} /roles/0/inherits/0: there is no role gone in the bundle\n`)
  expect(stderr).toContain(`  ${two} /rules/0/subjects/0/role: there is no role editor in the bundle\n`)
})

test.each<[string, string, string, RegExp]>([
  ['what is no YAML', 'p.yaml', 'verdict: [', /p\.yaml: .*line 1/],
  ['what is no JSON', 'p.json', '{', /p\.json: .*not valid JSON/],
  ['what is no bundle', 'p.yaml', 'cases: []', /p\.yaml is no bundle/],
])('%s is refused with its file', async (_what, name, text, message) => {
  const { status, stdout, stderr } = await run('apply', await file(name, text))
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(message)
})

test('what cannot be read or asked is told in one line', async () => {
  const path = await file('p.yaml', 'verdict: 1')
  const told = async (argv: string[], given: NodeJS.ProcessEnv) => {
    const { status, stderr } = await verdict(argv, { env: given })
    expect(status).toBe(1)
    return stderr
  }
  expect(await told(['apply', join(folder, 'gone')], env())).toMatch(/could not read .*gone: ENOENT\n$/)
  await mkdir(join(folder, 'empty'))
  expect(await told(['apply', join(folder, 'empty')], env())).toMatch(/there is no \.yaml, \.yml or \.json file/)
  expect(await told(['apply', path], { VERDICT_URL: service.url })).toMatch(/no API key: set VERDICT_KEY/)
  expect(await told(['apply', path], { ...env(), VERDICT_URL: 'http://127.0.0.1:1' })).toMatch(
    /could not reach http:\/\/127\.0\.0\.1:1: /,
  )
  expect(await told(['apply', path], { ...env(), VERDICT_URL: 'here' })).toMatch(/here is no URL/)
  expect(await told(['apply', path, '--key', 'vdt_none_x'], env())).toMatch(/verdict: http.*: /)
})

test('a server that is none of ours is told from one that refuses', async () => {
  const server = createServer((_request, response) => response.writeHead(502).end('<html>'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const { status, stderr } = await verdict(['export', '--url', url], { env: env() })
  server.close()
  expect(status).toBe(1)
  expect(stderr).toContain('it answered 502, and not as Verdict does')
})

test('an export is applied elsewhere, from a file with a key from a file', async () => {
  const key = await file('key', `${service.adminKey}\n`)
  const path = join(folder, 'out.yaml')
  const { status, stdout } = await verdict(['export', '-o', path], {
    env: { VERDICT_URL: service.url, VERDICT_KEY_FILE: key },
  })
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  expect((await readdir(folder)).sort()).toEqual(['key', 'out.yaml'])
  const text = await readFile(path, 'utf8')
  expect((await run('export')).stdout).toBe(text)
  expect(JSON.parse((await run('export', '--format', 'json')).stdout)).toEqual(parse(text))
  const other = await startService()
  try {
    const ran = await verdict(['apply', path], { env: { VERDICT_URL: other.url, VERDICT_KEY: other.adminKey } })
    expect(ran.status).toBe(0)
    const exported = await verdict(['export', '--url', `${other.url}/`, '--key', other.adminKey])
    expect(exported.stdout).toBe(text)
  } finally {
    await other.close()
  }
})

test('a file that cannot be written stays as it was', async () => {
  const { status, stderr } = await run('export', '-o', join(folder, 'no', 'such', 'out.json'))
  expect(status).toBe(1)
  expect(stderr).toMatch(/could not write .*out\.json: ENOENT/)
})
