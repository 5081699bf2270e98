import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Redactor } from '../audit/redactor.ts'
import * as contract from '../contract/audit-reading.ts'
import { Failure } from '../failure.ts'
import { itemOf, lineOf } from '../store/audit.ts'
import { CURSOR_LENGTH, decodeAuditCursor, encodeAuditCursor } from '../store/audit-cursor.ts'
import { AuditReading } from '../store/audit-export.ts'
import type { TenantDatabase } from '../store/database.ts'
import { filterOf } from './audit-query.ts'
import { CSV_HEAD, csvLine } from './csv.ts'
import { readOf } from './guard.ts'
import { header } from './origin.ts'
import type { App } from './server.ts'

export interface AuditExportParts {
  /** For questions that may take long: their own connections. */
  readonly reading: TenantDatabase
  readonly redactor: Redactor
}

/** Each may hold two pages of records, and asks the database all the time. */
const STREAMS_AT_ONCE = 16
/** Rows between two lines that say where a reader stands. */
const CURSOR_EVERY = 5000
const LOOK_MS = 1000
/** A stream in which nothing moves for two minutes is taken for dead. */
const SIGN_OF_LIFE_MS = 15_000

/** What an export is asked for, beside the filter. */
interface Asked {
  readonly reading: AuditReading
  /** ms for which it goes on with what comes. */
  readonly followMs: number
  readonly fromEnd: boolean
}

export function auditExportRoutes(app: App, { reading: db, redactor }: AuditExportParts): void {
  const closing = new AbortController()
  let streams = 0
  // From its first piece on: an answer that is never sent is never ended either.
  async function* counted(text: AsyncGenerator<string>): AsyncGenerator<string> {
    streams++
    try {
      yield* text
    } finally {
      streams--
    }
  }
  app.addHook('preClose', async () => closing.abort())
  app.route({
    ...contract.exportAudit,
    handler: async (request, reply) => {
      if (streams >= STREAMS_AT_ONCE) {
        throw new Failure('store_unavailable', 'too many exports are under way', { retryAfter: 5 })
      }
      const { cursor, start, follow = '0' } = request.query
      const format = formatOf(request, request.query.format)
      if (format === 'csv' && follow !== '0') throw notFollowed()
      const { tenant } = readOf(request)
      const question = { tenant, filter: filterOf(request.query), hash: redactor.hashIn(tenant) }
      const after = cursor === undefined ? undefined : decodeAuditCursor(cursor, tenant)
      const asked = {
        reading: new AuditReading(db.of(tenant), question, after),
        followMs: Number(follow) * 1000,
        fromEnd: start === 'end' && after === undefined,
      }
      // The first page, so that what fails at once is an error and not half an answer.
      const text = format === 'csv' ? csv(asked) : ndjson(asked, closing.signal)
      const first = await text.next()
      return send(reply, format, Readable.from(counted(rest(first, text)), { objectMode: false }))
    },
  })
}

function send(reply: FastifyReply, format: 'csv' | 'ndjson', body: Readable): FastifyReply {
  if (format === 'ndjson') return reply.type('application/x-ndjson; charset=utf-8').send(body)
  return reply
    .type('text/csv; charset=utf-8; header=present')
    .header('content-disposition', 'attachment; filename="audit.csv"')
    .send(body)
}

async function* rest(first: IteratorResult<string, void>, text: AsyncGenerator<string, void>): AsyncGenerator<string> {
  if (first.done === true) return
  yield first.value
  yield* text
}

async function* csv({ reading, fromEnd }: Asked): AsyncGenerator<string, void> {
  yield CSV_HEAD
  if (fromEnd) return
  for await (const rows of reading.unread()) yield rows.map((row) => csvLine(itemOf(row, reading.tenant))).join('')
}

async function* ndjson({ reading, followMs, fromEnd }: Asked, closing: AbortSignal): AsyncGenerator<string, void> {
  const until = performance.now() + followMs
  if (fromEnd) await reading.skip()
  else yield* everything(reading)
  yield whereItStands(reading)
  let told = performance.now()
  while (performance.now() < until && !closing.aborted) {
    await pause(Math.min(LOOK_MS, until - performance.now()), undefined, { signal: closing }).catch(() => {})
    let text = ''
    for await (const piece of everything(reading)) {
      yield piece
      text = piece
    }
    if (text === '' && performance.now() - told < SIGN_OF_LIFE_MS) continue
    yield whereItStands(reading)
    told = performance.now()
  }
}

async function* everything(reading: AuditReading): AsyncGenerator<string, void> {
  let since = 0
  for await (const rows of reading.unread()) {
    since += rows.length
    const isDue = since >= CURSOR_EVERY
    if (isDue) since = 0
    yield rows.map((row) => lineOf(row, reading.tenant)).join('') +
      (isDue ? `${JSON.stringify({ cursor: cursorOf(reading) })}\n` : '')
  }
}

/** All that there was has been read, up to these positions. */
function whereItStands(reading: AuditReading): string {
  return `${JSON.stringify({ cursor: cursorOf(reading), complete: reading.complete })}\n`
}

function cursorOf(reading: AuditReading): string | null {
  const text = encodeAuditCursor(reading.cursor)
  return text.length <= CURSOR_LENGTH ? text : null
}

function formatOf(request: FastifyRequest, asked: 'csv' | 'ndjson' | undefined): 'csv' | 'ndjson' {
  return asked ?? (/\btext\/csv\b/.test(header(request, 'accept') ?? '') ? 'csv' : 'ndjson')
}

function notFollowed(): Failure {
  const problems = [{ pointer: '/follow', detail: 'only an export as NDJSON can be followed' }]
  return new Failure('invalid_request', 'only an export as NDJSON can be followed', { problems })
}
