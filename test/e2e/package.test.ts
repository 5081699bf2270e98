import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { freePort, type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, newKey } from '../support/service.ts'

// The package as others get it: packed, put into an empty project, and used there by the examples.

const ROOT = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const textOf = (path: string) => readFileSync(join(ROOT, path), 'utf8')
/** Whole programs are started, on machines that have other things to do. */
const LONG = { timeout: 120_000 }

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}
const manifest: Manifest = JSON.parse(textOf('package.json'))

let scratch: string
let tarball: string
let packed: readonly string[]

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'verdict-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
  })
  const [{ filename, files }]: [{ filename: string; files: { path: string }[] }] = JSON.parse(stdout)
  tarball = join(scratch, filename)
  packed = files.map(({ path }) => path)
}, LONG.timeout)

afterAll(() => rm(scratch, { recursive: true, force: true }))

/** An empty project with the package in it, and these packages of ours beside it: whatever else is asked for fails. */
async function project(name: string, beside: readonly string[]): Promise<string> {
  const dir = join(scratch, name)
  const modules = join(dir, 'node_modules')
  mkdirSync(join(modules, 'verdict'), { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', join(modules, 'verdict'), '--strip-components=1'])
  for (const other of beside) {
    mkdirSync(resolve(modules, other, '..'), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', other), join(modules, other))
  }
  writeFileSync(join(dir, 'package.json'), '{"type": "module", "private": true}')
  return dir
}

describe('what is packed', () => {
  test('is the built program, its migrations, presets, guides and examples, and no source, test or map of a source', () => {
    const folders = new Set(packed.map((path) => path.split('/')[0]))
    expect([...folders].sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'docs',
      'examples',
      'migrations',
      'openapi.yaml',
      'package.json',
      'presets',
    ])
    expect(packed.filter((path) => /(^|\/)\.|\.tsbuildinfo$|\.map$|(?<!\.d)\.ts$|\.test\./.test(path))).toEqual([])
    expect(packed).toContain('dist/main.js')
    const mapped = packed.filter((path) => path.endsWith('.js') && textOf(path).includes('sourceMappingURL='))
    expect(mapped).toEqual([])
  })

  test('holds what its README leads to', () => {
    const links = [...textOf('README.md').matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) => link)
    expect(links.length).toBeGreaterThan(10)
    expect(links.filter((link) => !packed.includes(link))).toEqual([])
  })

  test('holds every file that it exports', () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : [target.types, target.default],
    )
    expect(targets.length).toBeGreaterThan(6)
    expect(targets.filter((target) => !packed.includes(target.replace('./', '')))).toEqual([])
  })

  test('can be had from outside by what it exports and by nothing else', async () => {
    const dir = await project('exports', [])
    const script = `
      const told = []
      for (const name of ['client', 'fastify', 'express']) told.push(Object.keys(await import('verdict/' + name)).sort())
      for (const name of ['verdict', 'verdict/dist/main.js', 'verdict/dist/policy/decide.js']) {
        told.push(await import(name).then(() => 'there', ({ code }) => code))
      }
      console.log(JSON.stringify(told))`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: dir })
    const hidden = 'ERR_PACKAGE_PATH_NOT_EXPORTED'
    expect(JSON.parse(stdout)).toEqual([
      ['MASK_KINDS', 'VerdictError', 'applyObligations', 'createClient', 'mask', 'verifyContext'],
      ['default'],
      ['createGuard'],
      hidden,
      hidden,
      hidden,
    ])
  })
})

describe('the types', () => {
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    target: 'es2022',
  }
  const consumer = (name: string) =>
    readFileSync(join(import.meta.dirname, '../client/consumers', `${name}.txt`), 'utf8')

  async function check(text: string, beside: readonly string[], compilerOptions: object): Promise<string> {
    const dir = await project(`types-${randomBytes(3).toString('hex')}`, beside)
    writeFileSync(join(dir, 'consumer.ts'), text)
    writeFileSync(
      join(dir, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...options, ...compilerOptions }, files: ['consumer.ts'] }),
    )
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    return run(process.execPath, [tsc, '-p', dir], { cwd: dir }).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    )
  }

  const browser = { lib: ['es2023', 'dom', 'dom.iterable'], types: [], skipLibCheck: true }
  const declared = Object.keys(manifest.dependencies)

  test.each([
    ['nodenext, and its libraries checked as well', { module: 'nodenext', skipLibCheck: false }],
    ['a bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('of the client hold for a page in a browser, with %s', LONG, async (_, how) => {
    expect(await check(consumer('client'), declared, { ...browser, ...how })).toBe('')
  })

  const node = { lib: ['es2023'], types: ['node'], module: 'nodenext', skipLibCheck: true }
  const besideService = [...declared, '@types/node', 'express', '@types/express']

  test('of the guards hold for a service on Node', LONG, async () => {
    expect(await check(consumer('guards'), besideService, node)).toBe('')
  })

  test.each([
    [
      'client.md',
      `declare global { namespace Express { interface Request { user?: { id: string } } } }
      declare function edit(): void
      declare function show(request: express.Request, response: express.Response): void`,
    ],
    [
      'guard-a-fastify-app.md',
      `declare module 'fastify' { interface FastifyRequest { user?: { id: string } } }
      declare function ownerOf(id: string): Promise<string>
      declare function load(id: string): Promise<object>
      declare function clearCache(): Promise<void>`,
    ],
  ])('let through what docs/%s shows, beside the application that it speaks of', LONG, async (name, application) => {
    const shown = textOf(`docs/${name}`).matchAll(/^```ts\n(.*?)^```$/gms)
    const snippets = [...shown].map(([, snippet = '']) => snippet)
    expect(snippets.length).toBeGreaterThan(0)
    expect(await check([...snippets, application].join('\n'), besideService, node)).toBe('')
  })

  test('refuse what is wrong: each line that is marked is an error, and no other', LONG, async () => {
    const found = await check(consumer('mistakes'), declared, { ...browser, module: 'nodenext' })
    const marked = consumer('mistakes')
      .split('\n')
      .flatMap((line, at) => (line.endsWith('// wrong') ? [at + 1] : []))
    const lines = [...found.matchAll(/^consumer\.ts\((\d+),/gm)].map(([, line]) => Number(line))
    expect([...new Set(lines)]).toEqual(marked)
  })
})

describe('the examples, against the packed server', () => {
  let database: FreshDatabase
  let verdict: Running
  let dir: string
  let examples: string
  const adminKey = newKey()
  const ask = (route: string, body?: unknown) => askAt(verdict.url, route, adminKey, body)

  beforeAll(async () => {
    database = await freshDatabase()
    const beside = Object.keys(manifest.dependencies)
    dir = await project('server', beside)
    // Where they run there is no package of the server's.
    examples = await project('examples', ['fastify', 'express'])
    for (const name of ['fastify', 'express', 'node'])
      cpSync(join(ROOT, 'examples', name), join(examples, name), { recursive: true })
    const env = {
      DATABASE_URL: database.url,
      VERDICT_DATA_DIR: join(dir, 'data'),
      VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
      VERDICT_ROOT_KEY: newKey(),
      VERDICT_ADMIN_KEY: adminKey,
      VERDICT_PUBLIC_URL: 'https://verdict.test',
      VERDICT_PRESET: 'quickstart',
    }
    verdict = await startProcess(env, join(dir, 'node_modules/verdict/dist/main.js'))
    await ask('PUT /v1/rules/role-checks', {
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['role:*'],
      resources: [{ type: 'role' }],
      condition: 'resource.id in subject.roles && action.name == "role:" + resource.id',
    })
    await ask('PUT /v1/rules/readers-see-no-addresses', {
      effect: 'allow',
      subjects: [{ type: 'user', id: 'bob' }],
      actions: ['document:read'],
      resources: [{ type: 'document' }],
      obligations: [{ id: 'addresses', type: 'mask', properties: { fields: { contact: 'email' } } }],
    })
  })

  afterAll(async () => {
    await stopProcess(verdict)
    await database.close()
  })

  test.each(['fastify', 'express'])(
    'the app with %s lets through what is allowed and nothing else',
    LONG,
    async (name) => {
      const port = await freePort()
      const env = {
        PATH: process.env['PATH'] ?? '',
        VERDICT_URL: verdict.url,
        VERDICT_KEY: adminKey,
        PORT: String(port),
      }
      const app = spawn(process.execPath, [join(examples, name, 'app.mjs')], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(app, 'exit')
      await once(app.stdout, 'data')
      const call = async (method: string, path: string, token?: string) => {
        const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer token-of-${token}` }
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
        return { status: answer.status, body: await answer.json() }
      }
      const plan = { title: 'The plan', owner: 'alice', contact: 'alice@example.com' }
      expect(await call('GET', '/documents/plan', 'alice')).toEqual({ status: 200, body: plan })
      expect(await call('GET', '/documents/plan', 'bob')).toEqual({
        status: 200,
        body: { ...plan, contact: 'a***e@example.com' },
      })
      expect(await call('PUT', '/documents/plan', 'alice')).toMatchObject({ status: 200, body: { edited: 'plan' } })
      expect(await call('PUT', '/documents/plan', 'bob')).toEqual({
        status: 403,
        body: { type: 'about:blank', status: 403, title: 'Forbidden', detail: 'this is not allowed' },
      })
      expect((await call('GET', '/archive', 'alice')).status).toBe(200)
      expect((await call('GET', '/archive', 'bob')).status).toBe(403)
      expect((await call('GET', '/documents/plan')).status).toBe(401)
      expect((await call('GET', '/documents/plan', 'mallory')).status).toBe(401)
      app.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
    },
  )

  test('the script asks, changes, asks again and finds the records', LONG, async () => {
    const env = { PATH: process.env['PATH'] ?? '', VERDICT_URL: verdict.url, VERDICT_KEY: adminKey }
    const { stdout } = await run(process.execPath, [join(examples, 'node/script.mjs')], { env })
    expect(stdout.replace(/revision \d+/, 'revision n').split('\n')).toEqual([
      'may carol read the plan? false',
      'and now, at revision n? true, by roles/reader',
      'it holds the roles reader',
      'and after it was taken away? false',
      'changed: an example',
      'changed: for no given reason',
      'recorded about carol: every decision',
      'with a key that nobody gave: 401 unauthenticated',
      '',
    ])
  })
})
