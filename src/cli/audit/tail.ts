import { setTimeout as pause } from 'node:timers/promises'
import type { AuditEvent } from '../../audit/event.ts'
import { Failure } from '../../failure.ts'
import { askServer, urlOf } from '../client.ts'
import { EXIT, type Io } from '../io.ts'
import { type Paint, paintFor } from '../paint.ts'
import { eventText } from './event-text.ts'
import { linesOf } from './lines.ts'
import { type AuditQuestionOptions, instant, queryOf } from './question.ts'

export interface TailOptions extends AuditQuestionOptions {
  readonly since?: string
  readonly json?: boolean
}

const FOLLOW_SECONDS = 60
const SHORTEST_PAUSE = 250
const LONGEST_PAUSE = 5000

/** Where the tail stands: the last cursor that came, and the events that came behind it. */
interface Place {
  cursor: string | undefined
  readonly shown: Set<string>
}

/** Prints the audit as it is written, until the signal or Ctrl-C; a service that goes away is waited for. */
export async function tailAudit(options: TailOptions, io: Io, signal?: AbortSignal): Promise<number> {
  const place: Place = { cursor: undefined, shown: new Set() }
  const paint = paintFor(io, io.stdout)
  const isOver = () => signal?.aborted === true
  let wait = 0
  while (!isOver()) {
    try {
      await follow(options, io, place, paint, signal)
      wait = 0
    } catch (error) {
      if (isOver()) break
      if (!(error instanceof Failure) || error.code !== 'store_unavailable') throw error
      if (wait === 0) io.stderr.write(`${urlOf(options, io)} is away; waiting for it\n`)
      wait = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, wait * 2))
      await pause(wait, undefined, { signal }).catch(() => {})
    }
  }
  return EXIT.ok
}

async function follow(options: TailOptions, io: Io, place: Place, paint: Paint, signal?: AbortSignal): Promise<void> {
  const query = queryOf(options)
  query.set('follow', String(FOLLOW_SECONDS))
  if (place.cursor !== undefined) query.set('cursor', place.cursor)
  else if (options.since === undefined) query.set('start', 'end')
  if (options.since !== undefined) query.set('from', instant('--since', options.since))
  const path = `/v1/audit/export?${query}`
  const response = await askServer({ method: 'GET', path, ...(signal && { signal }) }, options, io)
  for await (const line of linesOf(response)) {
    if (line === '') continue
    const text = take(line, place, options.json === true ? undefined : paint)
    if (text !== '') io.stdout.write(text)
  }
}

/** What is to be printed of a line. What came behind the last cursor comes again after a break, and is known. */
function take(line: string, place: Place, paint: Paint | undefined): string {
  const item: { readonly cursor?: string | null; readonly id?: string; readonly unreadable?: true } = JSON.parse(line)
  if (item.id === undefined) {
    place.cursor = item.cursor ?? undefined
    place.shown.clear()
    return ''
  }
  if (place.shown.has(item.id)) return ''
  place.shown.add(item.id)
  if (paint === undefined) return `${line}\n`
  if (item.unreadable) return `${paint('red', `the record ${item.id} cannot be read`)}\n`
  // Every other line with an id is an event as it was recorded.
  return eventText(item as AuditEvent, paint)
}
