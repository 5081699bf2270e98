import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Section } from '../section.ts'
import { rounded } from './callers.ts'
import { Room } from './room.ts'
import { Service } from './service.ts'
import { Trail } from './trail.ts'

const TENANTS = [{ name: 'default', share: 1 }]
const ROW_BYTES = 2000
const GIB = 2 ** 30
const MIB = 2 ** 20
/** Of every ten seconds the reader does nothing for three. */
const PERIOD_MS = 10_000
const SILENT_MS = 3000
const SAMPLE_MS = 250
const TICK_MS = 20
const WARM_ROWS = 100_000
const FORMATS = ['ndjson', 'csv'] as const
type Format = (typeof FORMATS)[number]

/**
 * `audit-export [--rows 50000] [--rate 2] [--slow 10]`: an export by a reader who takes `rate` MiB a second and pauses,
 * for `slow` seconds, and then all he can get; what the service holds in memory meanwhile. With `--slow 600` a million
 * rows are read slowly to the end.
 */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string', default: '50000' },
      rate: { type: 'string', default: '2' },
      slow: { type: 'string', default: '10' },
    },
  })
  const [rows = 0, rate = 0, slow = 0] = [values.rows, values.rate, values.slow].map(Number)
  return Room.with('audit-export', rows * ROW_BYTES + 2 * GIB, async (room) => {
    const trail = await Trail.start(room)
    await trail.fill({ rows, writers: 2, tenants: TENANTS })
    const service = await Service.start(room, 'service', trail.env)
    await service.drained()
    const exports: Export[] = []
    for (const format of FORMATS) {
      // The heap grows to what suits it, whatever is exported: what is asked is whether it grows with the rows.
      await read(service, format, { rows: Math.min(rows, WARM_ROWS) })
      exports.push(await read(service, format, { rows, rate, slow }))
    }
    return [section(exports, rows, rate, slow)]
  })
}

interface Reading {
  /** How many are there at least, or after how many it goes away where there are more. */
  readonly rows: number
  readonly rate?: number
  readonly slow?: number
}

interface Export {
  readonly format: Format
  readonly mib: number
  readonly seconds: number
  /** MiB: before it, after each quarter of the rows, the most while it was read slowly, and the most of all. */
  readonly before: number
  readonly quarters: readonly number[]
  readonly slowly: number
  readonly most: number
}

async function read(service: Service, format: Format, { rows, rate, slow = 0 }: Reading): Promise<Export> {
  const before = service.resident
  const began = performance.now()
  const answer = await opened(service, format)
  const memory = watched(service)
  const quarters: number[] = []
  let [bytes, lines, slowly] = [0, 0, before]
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    lines += newlines(chunk)
    if (rate === undefined && lines > rows) break
    if (lines >= (rows / 4) * (quarters.length + 1)) quarters.push(service.resident)
    const passed = () => performance.now() - began
    while (rate !== undefined && passed() < slow * 1000 && bytes > ((rate * MIB) / 1000) * awake(passed())) {
      await pause(TICK_MS)
      slowly = memory.most
    }
  }
  const seconds = (performance.now() - began) / 1000
  const most = memory.stop()
  // The head of a CSV file, or the lines that say where a reader stands, are no records.
  if (rate !== undefined && lines < rows) throw new Error(`${lines} lines came of ${rows} records`)
  const figures = { format, mib: bytes / MIB, seconds, before, quarters, slowly, most }
  if (rate !== undefined) console.error(JSON.stringify(figures))
  return figures
}

/** Of so many ms, how many the reader was awake. */
function awake(passed: number): number {
  const [periods, rest] = [Math.floor(passed / PERIOD_MS), passed % PERIOD_MS]
  return periods * (PERIOD_MS - SILENT_MS) + Math.min(rest, PERIOD_MS - SILENT_MS)
}

async function opened(service: Service, format: Format): Promise<IncomingMessage> {
  const url = `${service.url}/v1/audit/export?format=${format}`
  const asking = request(url, { headers: { authorization: service.authorization }, agent: false }).end()
  const [answer]: IncomingMessage[] = await once(asking, 'response')
  if (answer?.statusCode !== 200) throw new Error(`the export is refused: ${answer?.statusCode}`)
  return answer
}

function watched(service: Service) {
  let most = service.resident
  const timer = setInterval(() => {
    most = Math.max(most, service.resident)
  }, SAMPLE_MS)
  return {
    get most() {
      return most
    },
    stop() {
      clearInterval(timer)
      return most
    },
  }
}

const NEWLINE = 0x0a

function newlines(chunk: Buffer): number {
  let count = 0
  for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count++
  return count
}

function section(exports: readonly Export[], rows: number, rate: number, slow: number): Section {
  const mib = (value: number) => Math.round(value)
  return {
    title: `Exporting ${rows.toLocaleString('en')} records to a slow reader`,
    method: `\`GET /v1/audit/export\` of a service in a process of its own. For ${slow} s the reader takes ${rate} MiB a second over 7 s, then
nothing for 3 s; then all he can get. Resident memory of the service in MiB, after an export of ${Math.min(rows, WARM_ROWS).toLocaleString('en')} records that
is not counted: before, behind each quarter of the rows, and the most, looked at every ${SAMPLE_MS} ms.`,
    rows: exports.map(({ format, mib: size, seconds, before, quarters, slowly, most }) => ({
      format,
      export_mib: mib(size),
      seconds: rounded(seconds),
      before_mib: mib(before),
      quarters_mib: quarters.map(mib).join(', '),
      most_while_slow_mib: mib(slowly),
      most_mib: mib(most),
    })),
  }
}
