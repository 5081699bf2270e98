import { expect, test } from 'vitest'
import { report } from '../../src/cli/report.ts'
import { Failure } from '../../src/failure.ts'
import { verdict } from './run.ts'

const SECRET = 'c0ffee'.repeat(8)

function reported(error: unknown, env: NodeJS.ProcessEnv = {}): string {
  let text = ''
  const none = { write: () => undefined }
  report(error, { env, stdin: process.stdin, stdout: none, stderr: { write: (more) => (text += more) } })
  return text
}

test('a failure is one line, and each of its problems one more', () => {
  const problems = [
    { pointer: '', detail: 'VERDICT_PORT is no whole number' },
    { pointer: '/rules/3/name', detail: 'stands twice' },
  ]
  expect(reported(new Failure('unsafe_configuration', 'the configuration is refused', { problems }))).toBe(
    'verdict: the configuration is refused\n  VERDICT_PORT is no whole number\n  /rules/3/name: stands twice\n',
  )
})

test('a trace is shown when debugging only, with what caused it', () => {
  const failure = new Failure('store_unavailable', 'no database', { cause: new Error('ECONNREFUSED') })
  expect(reported(failure)).toBe('verdict: no database\n')
  const trace = reported(failure, { LOG_LEVEL: 'debug' })
  expect(trace).toContain('    at ')
  expect(trace).toContain('caused by Error: ECONNREFUSED')
})

test('what nobody foresaw is told without a trace as well', () => {
  expect(reported(new TypeError('x is not a function'))).toBe(
    'verdict: x is not a function (for the trace: LOG_LEVEL=debug)\n',
  )
})

test('a secret in a message is not shown', () => {
  expect(reported(new Error(`no login with vdt_ops1_${SECRET}`))).not.toContain(SECRET)
  expect(reported(new Error(`no route to postgres://u:${SECRET}@db`), { LOG_LEVEL: 'debug' })).not.toContain(SECRET)
})

test('every complaint about the configuration is told at once', async () => {
  const { status, stdout, stderr } = await verdict(['serve'], {
    env: {
      VERDICT_PORT: '99999',
      LOG_LEVEL: 'loud',
      VERDICT_PROT: '1',
      VERDICT_PRESET: 'nope',
      DATABASE_URL: 'mysql://x',
    },
  })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  for (const name of [
    'VERDICT_PORT ',
    'LOG_LEVEL ',
    'VERDICT_PROT ',
    'VERDICT_PRESET ',
    'DATABASE_URL ',
    'VERDICT_ROOT_KEY ',
    'VERDICT_MASTER_KEY ',
  ]) {
    expect(stderr).toContain(`\n  ${name}`)
  }
})

test('migrate without a database says so', async () => {
  const { status, stderr } = await verdict(['migrate'])
  expect(status).toBe(1)
  expect(stderr).toContain('DATABASE_URL is required')
})
