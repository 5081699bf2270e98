import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { presetFile, presetNames } from '../src/config/presets.ts'
import { decide } from '../src/policy/decide.ts'
import { factsFor, loadBundle } from '../src/policy/in-memory.ts'
import { verdict } from './cli/run.ts'
import { allSuites, type Suite } from './support/cases.ts'
import { startService, type TestService } from './support/service.ts'

const PRESETS = new URL('../presets/', import.meta.url)
const PAGES = new URL('../docs/presets/', import.meta.url)
const FIVE = ['os-operations', 'plugin-platform', 'plugin-web', 'task-runtime', 'workflow'] as const
const SECTIONS = ['types', 'policies', 'roles', 'rules', 'entities', 'assignments'] as const
const suites = await allSuites()

test('every preset has its decision cases beside it, and comes with the package', () => {
  const names = readdirSync(PRESETS).filter((name) => name.endsWith('.yaml'))
  const presets = names.filter((name) => !name.endsWith('.cases.yaml')).map((name) => name.replace(/\.yaml$/, ''))
  expect(presets).toEqual(['os-operations', 'plugin-platform', 'plugin-web', 'quickstart', 'task-runtime', 'workflow'])
  expect(presets.filter((name) => !names.includes(`${name}.cases.yaml`))).toEqual([])
  expect(manifest.files).toContain('presets')
})

test('the presets are found by their names, which lead out of their folder by no way', () => {
  expect(presetNames()).toEqual([...FIVE, 'quickstart'].sort())
  expect(presetFile('workflow')).toBe(new URL('workflow.yaml', PRESETS).pathname)
  for (const name of ['nowhere', 'workflow.cases', '../presets/workflow', 'Workflow', '']) {
    expect(() => presetFile(name)).toThrow(
      'there are os-operations, plugin-platform, plugin-web, quickstart, task-runtime, workflow',
    )
  }
})

// A section that is left out stays as it was: of the policy before, a required policy say, which denies all of this one.
test('every preset declares every section, so that it leaves nothing of the policy before', () => {
  for (const { name, bundle } of suites.filter(({ name }) => name.endsWith('.cases.yaml'))) {
    expect(Object.keys(bundle), name).toEqual(expect.arrayContaining([...SECTIONS]))
  }
})

interface Parts {
  readonly missing: readonly string[]
}

test('the cases of every preset pass, there are many, and they go every way of every rule', async () => {
  const { status, stdout } = await verdict(['test', PRESETS.pathname, '--coverage', '--json'])
  expect(status).toBe(0)
  const { files, coverage } = JSON.parse(stdout)
  for (const name of FIVE) {
    const { cases } = files.find(({ file }: { file: string }) => file.endsWith(`/${name}.cases.yaml`))
    expect(cases.length, name).toBeGreaterThanOrEqual(25)
  }
  expect(coverage).toHaveLength(FIVE.length + 1)
  for (const { policy, rules, permissions, roles } of coverage) {
    if (policy.endsWith('/quickstart.yaml')) continue
    expect(
      [...rules, ...permissions, ...roles].filter(({ missing }: Parts) => missing.length > 0),
      policy,
    ).toEqual([])
  }
})

test('the cases of airssys-osl stand in the preset for it by their names', () => {
  const { cases } = suiteOf('os-operations')
  expect(cases.slice(0, 11).map(({ name }) => name)).toEqual([
    'ACL allows a read',
    'ACL denies a read',
    'ACL glob allows a write',
    'RBAC admin allowed',
    'RBAC reader denied a write',
    'no role denied',
    'hierarchy',
    'several policies must all pass',
    'a violation is reported as an error',
    'spawning denied by ACL',
    'connecting allowed by policy',
  ])
})

function suiteOf(preset: string): Suite {
  const suite = suites.find(({ name }) => name === `${preset}.cases.yaml`)
  if (suite === undefined) throw new Error(`no cases of ${preset}`)
  return suite
}

/** Which door a question on a page is for; undefined: that of single questions. */
function doorOf(request: object): string | undefined {
  if ('permissions' in request) return '/v1/authorize/operation'
  return 'evaluations' in request ? '/v1/authorize/batch' : undefined
}

describe.each(FIVE)('the page of %s', (name) => {
  const page = readFileSync(new URL(`${name}.md`, PAGES), 'utf8')
  const { bundle, cases } = suiteOf(name)

  test('names cases that there are', () => {
    const named = [...page.matchAll(/(?<!\*)\*([^*\n]+)\*(?!\*)/g)].map(([, one]) => one)
    expect(named.length).toBeGreaterThan(15)
    const known = cases.map((one) => one.name)
    expect(named.filter((one) => one === undefined || !known.includes(one))).toEqual([])
  })

  test('shows questions with the answers that they get', () => {
    const blocks = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => JSON.parse(text))
    expect(blocks.length).toBeGreaterThan(1)
    expect(blocks.length % 2).toBe(0)
    const { index, lookup } = loadBundle(bundle)
    for (let at = 0; at < blocks.length; at += 2) {
      const [request, answer] = blocks.slice(at, at + 2)
      if (doorOf(request) !== undefined) continue
      const { decision, reason, rules, obligations } = decide(
        index,
        factsFor(lookup, request),
        request,
        Date.parse('2030-01-01T00:00:00Z'),
      )
      expect({ decision, context: { reason, rules, obligations } }).toEqual(answer)
    }
  })

  test('shows what other doors answer', async () => {
    const blocks = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => JSON.parse(text))
    const asked = blocks.flatMap((request, at) => {
      const door = at % 2 === 0 ? doorOf(request) : undefined
      return door === undefined ? [] : [{ door, request, answer: blocks[at + 1] }]
    })
    if (asked.length === 0) return
    const service = await startService({ env: { VERDICT_PRESET: name } })
    try {
      for (const { door, request, answer } of asked) {
        const { body } = await service.ask(`POST ${door}`, { body: request })
        const told = JSON.stringify(body, (member, value) =>
          member === 'decision_id' || member === 'revision' ? undefined : value,
        )
        expect(JSON.parse(told)).toEqual(answer)
      }
    } finally {
      await service.close()
    }
  })

  test('names rules, roles and policies that there are', () => {
    // What is in a table between backticks and looks like a name of a rule: words with at least two hyphens.
    const named = [...page.matchAll(/`([a-z0-9]+(?:-[a-z0-9]+){2,})`/g)].map(([, one]) => one)
    const rules = bundle.rules?.map((rule) => rule.name) ?? []
    expect(named.filter((one) => one === undefined || !rules.includes(one))).toEqual([])
  })
})

describe('verdict apply --preset', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startService()
  })
  afterAll(() => service.close())

  const apply = (...argv: string[]) =>
    verdict(['apply', ...argv], { env: { VERDICT_URL: service.url, VERDICT_KEY: service.adminKey } })

  test.each([...FIVE, 'quickstart'])('puts %s in force in place of the one before, without a warning', async (name) => {
    const dry = await apply('--preset', name, '--dry-run')
    expect({ status: dry.status, stderr: dry.stderr }).toEqual({ status: 3, stderr: '' })
    expect(await apply('--preset', name)).toMatchObject({ status: 0, stderr: '' })
    expect((await apply('--preset', name, '--dry-run')).stdout).toMatch(/^Nothing to change/)
    const { body } = await service.ask('GET /v1/bundle')
    const { bundle } = suiteOf(name)
    for (const section of SECTIONS) expect(body[section], section).toHaveLength(bundle[section]?.length ?? 0)
  })

  test('tells which presets there are, where there is none of the name', async () => {
    const { status, stderr } = await apply('--preset', 'nowhere')
    expect(status).toBe(1)
    expect(stderr).toBe(
      'verdict: there is no preset "nowhere": there are os-operations, plugin-platform, plugin-web, quickstart, task-runtime, workflow\n',
    )
  })

  test.each([
    ['a path and a preset', ['presets/workflow.yaml', '--preset', 'workflow']],
    ['neither', []],
  ])('refuses %s', async (_title, argv) => {
    const { status, stderr } = await apply(...argv)
    expect(status).toBe(1)
    expect(stderr).toBe('verdict: apply takes a path or --preset <name>, one of the two\n')
  })

  test('is told of in the help, with every name', async () => {
    const { stdout } = await verdict(['apply', '--help'])
    for (const name of presetNames()) expect(stdout).toContain(name)
  })
})

test.each(FIVE)('VERDICT_PRESET=%s fills an empty database, and it decides', async (name) => {
  const service = await startService({ env: { VERDICT_PRESET: name } })
  try {
    const env = { VERDICT_URL: service.url, VERDICT_KEY: service.adminKey }
    const again = await verdict(['apply', '--preset', name, '--dry-run'], { env })
    expect(again).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Nothing to change/) })
    const [first] = suiteOf(name).cases
    const { body } = await service.ask('POST /v1/authorize', { body: first?.request })
    expect({ decision: body.decision, rules: body.context.rules }).toEqual({
      decision: first?.want.decision,
      rules: first?.want.rules,
    })
  } finally {
    await service.close()
  }
})
