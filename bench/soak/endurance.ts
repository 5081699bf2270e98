import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Answered, rounded } from '../audit/callers.ts'
import { Room } from '../audit/room.ts'
import { Service } from '../audit/service.ts'

const GIB = 2 ** 30
const CONNECTIONS = 64
const MINUTE_S = 60
/** An answer that takes so long had to wait for others. */
const SLOW_MS = 250

interface Minute extends Answered {
  readonly resident_mib: number
  /** What was still on its way to Postgres when it was over. */
  readonly backlog: number
  /** The longest that the event loop was held up. */
  readonly loop_p99_ms: number
  readonly loop_max_ms: number
  readonly writes: number
  /** Changes that were refused, since the database took too long. */
  readonly refused: number
}

/**
 * `endurance [--minutes 20] [--rate <questions a second>] [--share 0.8] [--writes 10]`: questions at an even rate, and beside
 * them changes of rules, for as long as wanted. Where no rate is given it is the share of the highest that holds for a
 * minute. Says for each minute what memory was held and how long answers took; status 1 if a record is missing.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '20' },
      rate: { type: 'string' },
      share: { type: 'string', default: '0.8' },
      writes: { type: 'string', default: '10' },
    },
  })
  const minutes = Number(values.minutes)
  await Room.with('endurance', (2 + minutes) * GIB, async (room) => {
    const service = await Service.start(room, 'endurance', { VERDICT_ADMIN_PER_MINUTE: '1000000' })
    for (let warm = 0; warm < 10; warm++) await service.press({ connections: CONNECTIONS, seconds: 1 })
    await service.drained()
    const rate = values.rate === undefined ? Number(values.share) * (await ceiling(service)) : Number(values.rate)
    const before = await service.shipped()
    const [answers, writes] = await minuteByMinute(service, rate, minutes, Number(values.writes))
    await service.drained()
    // Each question and each write has a record; what the service records of itself comes on top.
    const recorded = (await service.shipped()) - before
    const lost = Math.max(0, answers + writes - recorded)
    console.log(JSON.stringify({ answers, writes, recorded, lost }))
    if (lost > 0) process.exitCode = 1
  })
}

/** The most that is answered without anything waiting: half a minute each, in steps of a tenth. */
async function ceiling(service: Service): Promise<number> {
  const { per_second } = await service.press({ connections: CONNECTIONS, seconds: MINUTE_S / 6 })
  for (let rate = per_second; rate > 100; rate *= 0.9) {
    await service.drained()
    const found = await service.press({ connections: CONNECTIONS, seconds: MINUTE_S / 2, rate })
    const backlog = await service.backlog()
    const isHeld = found.per_second > 0.98 * rate && found.p99_ms < SLOW_MS && backlog < rate
    console.error(
      `${Math.round(rate)} a second: backlog ${backlog}, p99 ${found.p99_ms} ms: ${isHeld ? '' : 'not '}held`,
    )
    if (isHeld) return rate
  }
  throw new Error('no rate holds')
}

async function minuteByMinute(
  service: Service,
  rate: number,
  minutes: number,
  perSecond: number,
): Promise<[answers: number, writes: number]> {
  let [answers, writes] = [0, 0]
  for (let minute = 1; minute <= minutes; minute++) {
    const found = await oneMinute(service, rate, perSecond)
    answers += found.answers
    writes += found.writes
    console.log(JSON.stringify({ minute, asked_per_second: Math.round(rate), ...found }))
  }
  return [answers, writes]
}

async function oneMinute(service: Service, rate: number, perSecond: number): Promise<Minute> {
  const over = new AbortController()
  const writing = write(service, perSecond, over.signal)
  const loops: { readonly p99: number; readonly max: number }[] = []
  const watching = (async () => {
    while (!over.signal.aborted) {
      await pause(1000, undefined, { signal: over.signal }).catch(() => undefined)
      loops.push(await service.loop())
    }
  })()
  // What is asked here is held by the rest of the minute: whatever holds answers up belongs to what is found.
  const load = { connections: CONNECTIONS, seconds: MINUTE_S, lateSeconds: MINUTE_S, rate }
  const found = await service.press(load).finally(() => over.abort())
  const backlog = await service.backlog()
  await watching
  return {
    ...found,
    per_second: rounded(found.per_second),
    resident_mib: Math.round(service.resident),
    backlog,
    loop_p99_ms: rounded(Math.max(...loops.map(({ p99 }) => p99))),
    loop_max_ms: rounded(Math.max(...loops.map(({ max }) => max))),
    ...(await writing),
  }
}

/** Rules that are made, changed and deleted, at an even rate. */
async function write(
  service: Service,
  perSecond: number,
  signal: AbortSignal,
): Promise<{ readonly writes: number; readonly refused: number }> {
  const began = performance.now()
  let [writes, refused] = [0, 0]
  while (!signal.aborted) {
    const path = `/v1/rules/of-${Math.floor(writes / 3) % 100}`
    const rule = {
      effect: 'allow',
      subjects: [{ type: 'user', id: `user-${writes % 1000}` }],
      actions: ['document:write'],
      resources: [{ type: 'document', id: `other/${writes}` }],
    }
    const writing = writes % 3 === 2 ? service.ask('DELETE', path) : service.ask('PUT', path, rule)
    await writing.then(
      () => writes++,
      (error: unknown) => {
        refused++
        console.error(String(error))
      },
    )
    const due = began + ((writes + refused) / perSecond) * 1000
    await pause(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => undefined)
  }
  return { writes, refused }
}
