import { setTimeout as pause } from 'node:timers/promises'
import type { Section } from '../section.ts'
import { type Answered, type Question, rounded } from './callers.ts'
import type { Service } from './service.ts'

const CONNECTIONS = 64
const SAMPLE_MS = 200
/** Half of a large batch on its way more or less is no growth. */
const NOISE = 2000
/** How near the rate that holds and the one that does not must be. */
const NEAR = 1.05
const STEP = 1.4
const LOWEST = 100

interface Held extends Answered {
  readonly rate: number
  /** Records, on an average over a fifth of the time each: around the middle, and at the end. */
  readonly middle: number
  readonly end: number
  readonly most: number
  readonly shipped: number
  readonly isFlat: boolean
}

/** What is asked, where it is not single questions. */
export interface Asked {
  readonly question: () => Question
  /** How many decisions one is. */
  readonly decisions: number
  readonly name: string
}

/** The highest rate at which the backlog is at the end what it was in the middle, by bisection, then for twice the time. */
export async function sustained(service: Service, seconds: number, asked?: Asked): Promise<Section> {
  const peak = await service.press({ connections: CONNECTIONS, seconds: 2, ...asked })
  const lowest = LOWEST / (asked?.decisions ?? 1)
  await service.drained()
  let [low, high] = [0, Number.POSITIVE_INFINITY]
  // From half of what a burst took, up until it is too much: on a busy machine a burst says little.
  for (let rate = peak.per_second / 2; rate > lowest && high / low > NEAR; rate = between(low, high)) {
    if ((await hold(service, rate, seconds, asked)).isFlat) low = rate
    else high = rate
  }
  const tried: Held[] = []
  for (let rate = low; rate > lowest; rate /= NEAR) {
    const found = await hold(service, rate, 2 * seconds, asked)
    tried.push(found)
    if (found.isFlat) break
  }
  return section(tried, peak, seconds, asked)
}

function between(low: number, high: number): number {
  if (low === 0) return high / 2
  return high === Number.POSITIVE_INFINITY ? low * STEP : Math.sqrt(low * high)
}

async function hold(service: Service, rate: number, seconds: number, asked?: Asked): Promise<Held> {
  await pause(500)
  const before = await service.shipped()
  const backlogs: { readonly share: number; readonly records: number }[] = []
  const began = performance.now()
  const pressing = service.press({ connections: CONNECTIONS, seconds, rate, ...asked })
  const over = pressing.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([over, pause(SAMPLE_MS, false)]))) {
    backlogs.push({ share: (performance.now() - began) / (seconds * 1000), records: await service.backlog() })
  }
  const answered = await pressing
  const shipped = ((await service.shipped()) - before) / answered.seconds
  await service.drained()
  const mean = (from: number, to: number) => {
    const found = backlogs.filter(({ share }) => share >= from && share < to)
    return Math.round(found.reduce((sum, { records }) => sum + records, 0) / found.length)
  }
  const [middle, end] = [mean(0.4, 0.6), mean(0.8, 1)]
  const isFlat = answered.per_second > 0.98 * rate && end - middle < Math.max(NOISE, 0.1 * middle)
  const figure = (value: number) => Math.round(value).toLocaleString('en')
  console.error(
    `${figure(rate)}/s asked, ${figure(answered.per_second)}/s answered, backlog ${figure(middle)} → ${figure(end)}: ${isFlat ? 'held' : 'not held'}`,
  )
  return { ...answered, rate, middle, end, most: Math.max(...backlogs.map(({ records }) => records)), shipped, isFlat }
}

function section(tried: readonly Held[], peak: Answered, seconds: number, asked?: Asked): Section {
  const decisions = asked?.decisions ?? 1
  const rows = tried.map((held) => ({
    asked_per_second: Math.round(held.rate * decisions),
    answered_per_second: Math.round(held.per_second * decisions),
    shipped_per_second: Math.round(held.shipped),
    backlog_middle: held.middle,
    backlog_end: held.end,
    backlog_most: held.most,
    p50_ms: held.p50_ms,
    p99_ms: held.p99_ms,
    flat: held.isFlat,
  }))
  return {
    title: `What is sustained${asked === undefined ? '' : ` in ${asked.name}`}: the backlog stays flat`,
    method: `The same ${asked?.name ?? 'questions'} over ${CONNECTIONS} connections, evenly spread, \`journal\` with \`batch\`, for ${2 * seconds} s: the highest rate, found by
bisection over runs of ${seconds} s, at which the records on their way to Postgres (\`verdict_audit_backlog_records\`) are as
many in the last fifth of the time as in the middle one, and all is answered. Times are from when a question was due.`,
    rows,
    notes: [
      `As fast as it can, the same service answers ${Math.round(peak.per_second * decisions).toLocaleString('en')} a second: ${rounded(
        peak.per_second / (tried.at(-1)?.per_second ?? Number.NaN),
      )} times that, as long as the journal has room.`,
    ],
  }
}
