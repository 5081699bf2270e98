import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { leafHash } from '../../src/audit/merkle.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let auditor: string

beforeAll(async () => {
  verdict = await startService()
  auditor = await verdict.keyWith(['pdp:auditor'])
  for (const subject of ['ann', '=cmd()', 'eve']) await decide(subject)
  await recorded('eve')
})

afterAll(() => verdict.close())

function decide(subject: string) {
  const body = { subject: { type: 'user', id: subject }, action: { name: 'read' }, resource: { type: 'doc', id: '1' } }
  return verdict.ask('POST /v1/authorize', { body })
}

const recorded = (subject: string) =>
  eventually(
    async () => (await verdict.ask(`GET /v1/audit?subject_id=${subject}`)).body.items,
    (items) => items.length > 0,
  )

interface Line {
  readonly id?: string
  readonly subject?: { readonly id: string }
  readonly cursor?: string
  readonly complete?: readonly { writer: string; position: number; closed: boolean }[]
}

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

async function exported(query: string): Promise<Line[]> {
  const { status, headers, body } = await verdict.ask(`GET /v1/audit/export${query}`, { key: auditor })
  expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson; charset=utf-8'])
  return linesOf(body)
}

test('an export gives each record as it was recorded, with where it stands, and says up to where it is complete', async () => {
  const lines = await exported('?type=decision')
  const records = lines.filter(({ id }) => id !== undefined)
  expect(records.map(({ subject }) => subject?.id)).toEqual(['ann', '=cmd()', 'eve'])
  for (const record of records) {
    expect((await verdict.ask(`GET /v1/audit/${record.id}`)).body).toEqual(record)
  }
  const last = lines.at(-1)
  expect(last).toEqual({ cursor: expect.any(String), complete: [expect.objectContaining({ closed: false })] })
  expect(last?.complete?.[0]?.position).toBeGreaterThan(3)
})

test('from its cursor on, an export gives what came since', async () => {
  const cursor = (await exported('?type=decision')).at(-1)?.cursor
  await decide('later')
  await recorded('later')
  const lines = await exported(`?type=decision&cursor=${cursor}`)
  expect(lines.map(({ subject }) => subject?.id)).toEqual(['later', undefined])
  const none = await exported(`?type=decision&cursor=${lines.at(-1)?.cursor}`)
  expect(none).toHaveLength(1)
})

test.each([
  ['?format=csv', {}],
  ['', { accept: 'text/csv' }],
])('an export is CSV by %s %j, without a cell that a spreadsheet would run', async (query, headers) => {
  const answer = await verdict.ask(
    `GET /v1/audit/export${query || '?'}&type=decision&to=2999-01-01T00:00:00Z`.replace('?&', '?'),
    { key: auditor, headers },
  )
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
  const lines = answer.body.trimEnd().split('\r\n')
  expect(lines[0]).toMatch(/^id,at,tenant,type,/)
  expect(lines.filter((line: string) => line.includes(`"user","'=cmd()"`))).toHaveLength(1)
  expect(answer.body).not.toMatch(/(^|,)"?[=+@-]/m)
})

test('an export leaves one record, of the access, with its filter and without its result', async () => {
  const headers = { 'x-request-id': 'export-1' }
  await verdict.ask('GET /v1/audit/export?subject_id=ann&cursor=', { key: auditor, headers })
  await verdict.ask('GET /v1/audit/export?subject_id=ann', { key: auditor, headers })
  const items = await eventually(
    async () => (await verdict.ask('GET /v1/audit?request_id=export-1')).body.items,
    (found) => found.length > 1,
  )
  expect(items).toMatchObject([
    { type: 'audit_access', context: { status: 200, query: { subject_id: 'ann' } }, decision: true },
    { type: 'audit_access', context: { status: 400 } },
  ])
})

test.each([
  ['?follow=1&format=csv', '/follow'],
  ['?follow=301', '/follow'],
  ['?cursor=nonsense', '/cursor'],
  ['?from=2020-01-01T23:59:60Z', '/from'],
  ['?nonsense=1', '/nonsense'],
])('%s is refused with its place', async (query, pointer) => {
  const { status, body } = await verdict.ask(`GET /v1/audit/export${query}`, { key: auditor })
  expect([status, body.errors[0].pointer]).toEqual([400, pointer])
})

test('an export can be followed: it goes on with what comes, and ends when its time is over', async () => {
  const answer = fetch(`${verdict.url}/v1/audit/export?type=decision&start=end&follow=3`, {
    headers: { authorization: `Bearer ${auditor}` },
  })
  const reader = (await answer).body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  const more = async () => {
    const read = await reader?.read()
    text += decoder.decode(read?.value)
    return read?.done !== true
  }
  await more()
  expect(linesOf(text)).toMatchObject([{ complete: expect.any(Array) }])
  await decide('followed')
  while (await more());
  const lines = linesOf(text)
  expect(lines.filter(({ id }) => id !== undefined).map(({ subject }) => subject?.id)).toEqual(['followed'])
  expect(lines.at(-1)?.cursor).toBeDefined()
})

test('a service that stops ends what follows it, at the end of a line that says where to go on', async () => {
  const other = await startService()
  const answer = await fetch(`${other.url}/v1/audit/export?follow=300`, {
    headers: { authorization: `Bearer ${other.adminKey}` },
  })
  const text = answer.text()
  const began = performance.now()
  await other.close()
  expect(linesOf(await text).at(-1)).toMatchObject({ cursor: expect.any(String) })
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('there are so many streams at once, and one that is left makes room', async () => {
  const stops = Array.from({ length: 16 }, () => new AbortController())
  const follow = (signal: AbortSignal | null) =>
    fetch(`${verdict.url}/v1/audit/export?start=end&follow=60`, {
      headers: { authorization: `Bearer ${auditor}` },
      signal,
    })
  const streams = await Promise.all(stops.map(({ signal }) => follow(signal)))
  for (const { body } of streams) await body?.getReader().read()
  const refused = await verdict.ask('GET /v1/audit/export', { key: auditor })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  stops[0]?.abort()
  await eventually(
    () => verdict.ask('GET /v1/audit/export?type=security', { key: auditor }),
    ({ status }) => status === 200,
  )
  for (const stop of stops) stop.abort()
})

test.each([
  ['no text at all', '\\x00ff'],
  ['no JSON', Buffer.from('{"id":').toString('hex')],
  ['nothing', ''],
  ['null', Buffer.from('null').toString('hex')],
  ['an object that is no event', Buffer.from('{}').toString('hex')],
  [
    'an event of no type',
    Buffer.from('{"id":"a","at":"2020-01-01T00:00:00Z","tenant":"t","type":"x"}').toString('hex'),
  ],
  [
    'an event of no time',
    Buffer.from('{"id":"a","at":"\\",\\"x\\":1","tenant":"t","type":"decision"}').toString('hex'),
  ],
])('a record that is %s any more is told as unreadable, and the rest is told as ever', async (_what, hex) => {
  const subject = `spoiled-${spoiled++}`
  await decide(subject)
  const [{ id, at, tenant, writer, seq }] = await recorded(subject)
  await decide(`${subject}-next`)
  await recorded(`${subject}-next`)
  const bytes = Buffer.from(hex.replace('\\x', ''), 'hex')
  await sql`update audit set record = ${bytes} where id = ${id}`.execute(verdict.database.db)
  const wanted = { id, at, tenant, unreadable: true, writer, seq, hash: leafHash(bytes).toString('hex') }

  expect((await verdict.ask(`GET /v1/audit/${id}`, { key: auditor })).body).toEqual(wanted)
  const { body: page } = await verdict.ask('GET /v1/audit?type=decision&limit=2', { key: auditor })
  expect(page.items).toEqual([expect.objectContaining({ reason: expect.any(String) }), wanted])
  const lines = await exported('?type=decision')
  expect(lines.filter((line) => line.id === id)).toEqual([wanted])
  expect(lines.filter((line) => line.subject?.id === `${subject}-next`)).toHaveLength(1)
  const csv = await verdict.ask('GET /v1/audit/export?format=csv&type=decision', { key: auditor })
  expect(csv.body.split('\r\n').filter((line: string) => line.includes(id))).toEqual([
    expect.stringMatching(new RegExp(`^"${id}",.*,true$`)),
  ])
  const { body: stats } = await verdict.ask('GET /v1/audit/stats?by=subject&top=100', { key: auditor })
  expect(stats.groups.map(({ value }: { value: { id: string } | null }) => value?.id)).toContain(subject)
})

let spoiled = 0
