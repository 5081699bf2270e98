import { expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { EXIT } from '../../src/cli/io.ts'
import { VARIABLES } from '../../src/config.ts'
import { verdict } from './run.ts'

test('help names every command and teaches by examples', async () => {
  const { status, stdout } = await verdict(['--help'])
  expect(status).toBe(0)
  for (const command of ['serve', 'migrate', 'check', 'apply', 'export', 'test', 'openapi'])
    expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  expect(stdout).toContain('$ verdict check --policy presets/quickstart.yaml question.json')
})

test('help says what a bundle lacks, and what a dry run does not see', async () => {
  const [applied, exported] = await Promise.all(['apply', 'export'].map((command) => verdict([command, '--help'])))
  expect(applied?.stdout.replaceAll(/\s+/g, ' ')).toContain(
    'does not see entities and assignments that were made by hand and are not declared',
  )
  expect(exported?.stdout).toContain('Not in it are quotas, capabilities')
})

test('the version is that of the package', async () => {
  expect(await verdict(['--version'])).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: '' })
})

test('without a command, help goes to standard error and the status is 1', async () => {
  const { status, stdout, stderr } = await verdict([])
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toContain('Usage: verdict')
})

test.each([
  ['a command that is unknown', ['serv'], /unknown command 'serv'/],
  ['an option that is unknown', ['serve', '--port', '1'], /unknown option '--port'/],
  ['an argument too many', ['migrate', 'now'], /too many arguments/],
  ['a request that is missing', ['check', '--policy', 'p.yaml'], /missing required argument 'request'/],
  ['a policy that is missing', ['check', 'q.json'], /required option '-p, --policy <file>' not specified/],
])('%s is told in one line, with status 1', async (_title, argv, message) => {
  const { status, stdout, stderr } = await verdict(argv)
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(message)
})

test.each([
  [['serv'], 'verdict'],
  [['serve', '--port', '1'], 'verdict serve'],
  [['audit', 'verify', '--tenat', 'a'], 'verdict audit verify'],
  [['audit', 'verfy'], 'verdict audit'],
])('after a slip in %j, it points to the help of %s', async (argv, command) => {
  expect((await verdict(argv)).stderr).toContain(`\n(${command} --help shows what there is)\n`)
})

test('help names every exit status', async () => {
  const { stdout } = await verdict(['--help'])
  for (const status of Object.values(EXIT)) expect(stdout).toMatch(new RegExp(`Exit status:[^]*\\b${status} `))
})

test('serve lists every variable of the configuration, with its default', async () => {
  const { status, stdout } = await verdict(['serve', '--help'])
  expect(status).toBe(0)
  for (const variable of VARIABLES) {
    const line = stdout.split('\n').find((candidate) => candidate.trim().split(' ')[0] === variable.name)
    expect(line, variable.name).toBeDefined()
    if ('default' in variable) expect(line).toContain(`[${variable.default}]`)
    if ('secret' in variable) expect(line).toContain('(secret)')
  }
})
