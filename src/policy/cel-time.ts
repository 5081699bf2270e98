import { Duration } from '@marcbachmann/cel-js/evaluator'
import type { Budget } from './budget.ts'
import { charge, Fault, nanosOf } from './cel-values.ts'
import { isDateTime } from './instant.ts'

/**
 * Timestamps and durations. cel-js has them, but reads what a time zone shows back through the zone of this process
 * (an hour that its summer time skips comes out wrong), takes any text that a browser would for a date, and makes
 * durations of less than nothing that do not equal themselves.
 */

const MINUTE = 60_000
const DAY = 86_400_000
const FIRST = -62_135_596_800_000 // 0001-01-01T00:00:00Z
const LAST = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
const LONGEST = 315_576_000_000n // seconds: 10,000 years
const BILLION = 1_000_000_000n

// Measured: 0.3 to 0.9 ms to make a formatter, 2 to 6 µs to use it.
const STEPS_TO_MAKE_A_ZONE = 12_000
const STEPS_TO_ASK_A_ZONE = 100
// Measured: 0.8 µs for a sum or a clock, 1 µs for a text.
const STEPS_TO_CALCULATE = 16
const STEPS_TO_WRITE = 20

/** A zone of the IANA database, which remembers the last minute that it was asked for: mostly, that is `now`. */
interface Zone {
  readonly format: Intl.DateTimeFormat
  minute: number
  offset: number
}

// Names may come as data, and a formatter holds some 50 KB: so many are kept, and the one that came first goes first. A
// map, since a cache that keeps account of what is used takes 1 µs to be asked, and this is asked for each item of a list.
const zones = new Map<string, Zone>()
const ZONES_AT_MOST = 100
const MAX_ZONE_NAME = 64
const FIXED_OFFSET = /^([+-])([01]\d|2[0-3]):([0-5]\d)$/

/** Throws a fault where there is no such zone. */
export function checkZone(name: string): void {
  if (!FIXED_OFFSET.test(name)) zoneNamed(name, undefined)
}

function zoneNamed(name: string, budget: Budget | undefined): Zone {
  const known = zones.get(name)
  if (known !== undefined) return known
  if (budget !== undefined) charge(budget, STEPS_TO_MAKE_A_ZONE)
  const zone = { format: formatter(name), minute: Number.NaN, offset: 0 }
  const [first] = zones.keys()
  if (zones.size >= ZONES_AT_MOST && first !== undefined) zones.delete(first)
  zones.set(name, zone)
  return zone
}

function formatter(timeZone: string): Intl.DateTimeFormat {
  const unknown = new Fault('no such time zone: give a name like "Europe/Zurich", or an offset like "+01:00"')
  // An offset in another spelling is known to some versions of Node only.
  if (timeZone.length > MAX_ZONE_NAME || !/^[A-Za-z]/.test(timeZone)) throw unknown
  const numeric = 'numeric'
  const date = { year: numeric, month: numeric, day: numeric, hour: numeric, minute: numeric, second: numeric } as const
  try {
    return new Intl.DateTimeFormat('en-US', {
      ...date,
      timeZone,
      hourCycle: 'h23',
      calendar: 'gregory',
      numberingSystem: 'latn',
    })
  } catch {
    throw unknown
  }
}

/** What clocks in a zone show, as the UTC fields of a date. */
function wallClock(at: Date, zone: string, budget: Budget): Date {
  charge(budget, STEPS_TO_CALCULATE)
  const fixed = zones.has(zone) ? null : FIXED_OFFSET.exec(zone)
  if (fixed === null) return new Date(at.getTime() + offsetOf(zoneNamed(zone, budget), at, budget))
  const minutes = Number(fixed[2]) * 60 + Number(fixed[3])
  return new Date(at.getTime() + (fixed[1] === '-' ? -minutes : minutes) * MINUTE)
}

// Zones change their offset between minutes. Before 1973 some kept offsets of odd seconds.
const WHOLE_MINUTES_SINCE = Date.UTC(1973, 0, 1)

function offsetOf(zone: Zone, at: Date, budget: Budget): number {
  const minute = Math.floor(at.getTime() / MINUTE)
  if (zone.minute === minute && at.getTime() >= WHOLE_MINUTES_SINCE) return zone.offset
  charge(budget, STEPS_TO_ASK_A_ZONE)
  const offset = shownBy(zone.format, at) - Math.floor(at.getTime() / 1000) * 1000
  // Years before the first are shown as if they were after it.
  if (Math.abs(offset) > DAY) throw new Fault('the timestamp is out of range')
  zone.minute = minute
  zone.offset = offset
  return offset
}

function shownBy(format: Intl.DateTimeFormat, at: Date): number {
  const [month = 1, day = 1, year = 1, hour, minute, second] = (format.format(at).match(/\d+/g) ?? []).map(Number)
  const shown = new Date(0)
  shown.setUTCFullYear(year, month - 1, day)
  return shown.setUTCHours(hour ?? 0, minute, second)
}

const FIELDS: Readonly<Record<string, (wall: Date) => number>> = {
  getFullYear: (wall) => wall.getUTCFullYear(),
  getMonth: (wall) => wall.getUTCMonth(),
  getDate: (wall) => wall.getUTCDate(),
  getDayOfMonth: (wall) => wall.getUTCDate() - 1,
  getDayOfWeek: (wall) => wall.getUTCDay(),
  getDayOfYear: dayOfYear,
  getHours: (wall) => wall.getUTCHours(),
  getMinutes: (wall) => wall.getUTCMinutes(),
  getSeconds: (wall) => wall.getUTCSeconds(),
  getMilliseconds: (wall) => wall.getUTCMilliseconds(),
}

export const FIELDS_OF_TIME: readonly string[] = Object.keys(FIELDS)

function dayOfYear(wall: Date): number {
  return Math.floor((wall.getTime() - new Date(wall).setUTCMonth(0, 1)) / DAY)
}

/** `now.getHours("Europe/Zurich")`, and in UTC without a zone. undefined: left to cel-js (durations). */
export function fieldOfTime(name: string, at: unknown, zone: unknown, budget: Budget): bigint | undefined {
  const read = FIELDS[name]
  if (!(at instanceof Date) || read === undefined) return undefined
  if (zone === undefined) return BigInt(read(at))
  return typeof zone === 'string' ? BigInt(read(wallClock(at, zone, budget))) : undefined
}

/** `timestamp()` of a text of RFC 3339, or of seconds since 1970. undefined: left to cel-js. */
export function timestamp(value: unknown): Date | undefined {
  if (value instanceof Date) return value
  if (typeof value === 'number' || typeof value === 'bigint') return inRange(Math.round(Number(value) * 1000))
  if (typeof value !== 'string') return undefined
  if (!isDateTime(value)) throw new Fault('a timestamp is a text like "2030-01-31T12:00:00Z"')
  return inRange(Date.parse(value))
}

function inRange(milliseconds: number): Date {
  if (milliseconds >= FIRST && milliseconds <= LAST) return new Date(milliseconds)
  throw new Fault('the timestamp is out of range')
}

const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/

/** What cel-js reads leniently is held to Go's form. undefined: left to cel-js. */
export function duration(value: unknown): Duration | undefined {
  if (value instanceof Duration) return value
  if (typeof value === 'string' && !DURATION.test(value)) throw new Fault('a duration is a text like "1h30m" or "90s"')
  return value === '0' || value === '+0' || value === '-0' ? new Duration(0n) : undefined
}

/** undefined: not of timestamps and durations. */
export function calculateTime(operator: string, a: unknown, b: unknown, budget: Budget): Date | Duration | undefined {
  if ((operator !== '+' && operator !== '-') || typeof a !== 'object') return undefined
  charge(budget, STEPS_TO_CALCULATE)
  const sign = operator === '+' ? 1n : -1n
  if (a instanceof Duration) {
    if (b instanceof Duration) return ofNanos(nanosOf(a) + sign * nanosOf(b))
    return b instanceof Date && sign === 1n ? later(b, nanosOf(a)) : undefined
  }
  if (!(a instanceof Date)) return undefined
  if (b instanceof Duration) return later(a, sign * nanosOf(b))
  return b instanceof Date && sign === -1n ? ofNanos(BigInt(a.getTime() - b.getTime()) * 1_000_000n) : undefined
}

function later(than: Date, nanos: bigint): Date {
  // A timestamp has milliseconds; what is finer is dropped towards the past.
  const whole = nanos / 1_000_000n - (nanos % 1_000_000n < 0n ? 1n : 0n)
  return inRange(than.getTime() + Number(whole))
}

function ofNanos(nanos: bigint): Duration {
  const seconds = nanos / BILLION
  if (seconds > LONGEST || seconds < -LONGEST) throw new Fault('the duration is out of range')
  return new Duration(seconds, Number(nanos % BILLION))
}

/** As `string()` gives them: RFC 3339 in UTC, and seconds. undefined: neither. */
export function timeAsText(value: unknown, budget: Budget): string | undefined {
  if (typeof value !== 'object') return undefined
  charge(budget, STEPS_TO_WRITE)
  if (value instanceof Date) return value.toISOString().replace(/\.000Z$/, 'Z')
  if (!(value instanceof Duration)) return undefined
  const nanos = nanosOf(value)
  const size = nanos < 0n ? -nanos : nanos
  const fraction = String(size % BILLION)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${nanos < 0n ? '-' : ''}${size / BILLION}${fraction === '' ? '' : `.${fraction}`}s`
}

/** Seconds since 1970, as `int()` gives them. */
export function secondsOf(at: Date): bigint {
  return BigInt(Math.floor(at.getTime() / 1000))
}
