import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventText } from '../../src/cli/audit/event-text.ts'
import { type TailOptions, tailAudit } from '../../src/cli/audit/tail.ts'
import { event } from '../audit/support.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { freePort } from '../support/process.ts'
import { eventually, startService, type TestService } from '../support/service.ts'
import { verdict } from './run.ts'

let database: FreshDatabase
let service: TestService

beforeAll(async () => {
  database = await freshDatabase()
  service = await startService({ database, env: { VERDICT_PORT: String(await freePort()) } })
})
afterAll(async () => {
  await service.close()
  await database.close()
  // Of the one that was started again, in a directory that was given.
  await rm(service.env['VERDICT_DATA_DIR'] ?? '', { recursive: true, force: true })
})

const env = () => ({ VERDICT_URL: service.url, VERDICT_KEY: service.adminKey })

function decide(subject: string) {
  const body = { subject: { type: 'user', id: subject }, action: { name: 'read' }, resource: { type: 'doc', id: '1' } }
  return service.ask('POST /v1/authorize', { body })
}

const recorded = (subject: string) =>
  eventually(
    async () => (await service.ask(`GET /v1/audit?subject_id=${subject}`)).body.items,
    (items) => items.length > 0,
  )

/** A tail that runs beside the test; what it has printed. */
function tailing(options: TailOptions) {
  const stop = new AbortController()
  const printed = { out: '', err: '' }
  const io = {
    env: env(),
    stdin: (async function* () {})(),
    stdout: { write: (text: string) => (printed.out += text) },
    stderr: { write: (text: string) => (printed.err += text) },
  }
  const ended = tailAudit(options, io, stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await ended
  })
  return { printed, ended, stop }
}

const until = (text: () => string, wanted: string) =>
  eventually(
    async () => text(),
    (all) => all.includes(wanted),
    20_000,
  )

test('an event is one line, that a terminal shows and does not obey', () => {
  const plain = (_tone: string, text: string) => text
  const made = event({
    at: '2030-01-01T12:00:00.000Z',
    decision: false,
    reason: 'denied_by_rule',
    rules: ['default/x'],
  })
  expect(eventText(made, plain)).toBe(
    '2030-01-01 12:00:00.000  deny   user:alice  document:read  document:reports/q3  denied_by_rule  [default/x]  by service:gateway\n',
  )
  const odd = eventText(
    event({ type: 'security', subject: { type: 'user', id: 'a\u001b[31m\nb' }, decision: null }),
    plain,
  )
  expect(odd).toContain('note   security  user:a\\u001b[31m\\u000ab')
  expect(odd.split('\n')).toHaveLength(2)
})

test('a tail prints what comes, and with --since what was there', async () => {
  await decide('before')
  await recorded('before')
  const since = tailing({ since: '1h', type: 'decision', json: true })
  await until(() => since.printed.out, '"before"')
  const next = tailing({ type: 'decision' })
  // It stands at the end once its access is recorded.
  await eventually(
    async () => (await service.ask('GET /v1/audit?type=audit_access&action=pdp:read&limit=1000')).body.items,
    (items) => items.some((item: { context: { query?: { start?: string } } }) => item.context.query?.start === 'end'),
  )
  await decide('next')
  await until(() => next.printed.out, 'user:next')
  await until(() => since.printed.out, '"next"')
  expect(next.printed.out).toMatch(
    /^[-0-9]+ [:.0-9]+ {2}deny {3}user:next {2}read {2}doc:1 {2}no_applicable_rule {2}by service:admin\n$/,
  )
  expect(
    since.printed.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).subject.id),
  ).toEqual(['before', 'next'])
})

test('a tail survives a restart of the service, and leaves nothing out and prints nothing twice', async () => {
  const { printed } = tailing({ since: '1h', type: 'decision', subjectType: 'user', json: true })
  await decide('first')
  await until(() => printed.out, '"first"')
  await service.close()
  await until(() => printed.err, 'is away; waiting for it')
  service = await startService({ database, env: service.env })
  await decide('second')
  await until(() => printed.out, '"second"')
  const subjects = printed.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).subject.id)
  expect(subjects.slice(-2)).toEqual(['first', 'second'])
  expect(new Set(subjects).size).toBe(subjects.length)
})

test('a key that may not read the audit ends a tail with what is wrong', async () => {
  const key = await service.keyWith(['pdp:decider'])
  const { status, stderr } = await verdict(['audit', 'tail', '--key', key], { env: env() })
  expect([status, stderr]).toEqual([1, expect.stringContaining('the caller may not do this')])
})

test.each([
  ['--since', 'yesterday'],
  ['--decision', 'maybe'],
  ['--type', 'nothing'],
])('%s %s is refused', async (...args) => {
  const { status, stderr } = await verdict(['audit', 'tail', ...args], { env: env() })
  expect([status, stderr]).toEqual([1, expect.stringContaining(args[0])])
})

test.each([
  ['--from', '5'],
  ['--to', 'March 7 2030'],
  ['--from', '2030-02-30'],
])('an export %s %s is refused', async (option, text) => {
  const { status, stderr } = await verdict(['audit', 'export', option, text], { env: env() })
  expect(status).toBe(1)
  expect(stderr).toContain(
    `${option} takes an RFC 3339 instant such as 2030-01-31T08:00:00Z, a date, or how long ago (15m, 2h, 1d), not ${text}`,
  )
})

test('an export is written as it comes, NDJSON or CSV', async () => {
  await decide('exported')
  await recorded('exported')
  const ndjson = await verdict(['audit', 'export', '--subject-id', 'exported', '--from', '2020-01-01'], { env: env() })
  expect(ndjson.status).toBe(0)
  const lines = ndjson.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines).toMatchObject([{ subject: { id: 'exported' } }, { cursor: expect.any(String) }])
  const rest = await verdict(['audit', 'export', '--subject-id', 'exported', '--cursor', lines[1].cursor], {
    env: env(),
  })
  expect(rest.stdout.trimEnd().split('\n')).toHaveLength(1)
  const csv = await verdict(['audit', 'export', '--subject-id', 'exported', '--format', 'csv'], { env: env() })
  expect(csv.stdout.trimEnd().split('\r\n')).toHaveLength(2)
})
