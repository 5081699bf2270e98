import { Optional } from '@marcbachmann/cel-js'
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator'
import type { Budget } from './budget.ts'

/**
 * What conditions do with values that nobody declared a type for: JSON, whose numbers are doubles. cel-js has all of
 * this too, but asks `in` and `constructor` of objects (which answers for the prototype), refuses a double beside an
 * integer, and counts no steps.
 */

/** Why a condition could not be evaluated. No stack is captured: a missing attribute is an everyday thing. */
export class Fault {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}
// cel-js tells errors from values by `instanceof Error`.
Object.setPrototypeOf(Fault.prototype, Error.prototype)

/** What is wrong with a condition, and with which part of it. */
export class Located extends Error {
  readonly summary: string
  readonly range: { readonly start: number }

  constructor(summary: string, { start }: { readonly start: number }) {
    super(summary)
    this.summary = summary
    this.range = { start }
  }
}

export const SPENT = new Fault('the budget of the request is spent')

export function charge(budget: Budget, steps: number): void {
  budget.left -= steps
  if (budget.left < 0) throw SPENT
}

/** A JSON object: never an instance of a class, and its prototype is out of reach. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

// Measured: some 90 ns a member to list those of a large object.
const STEPS_PER_MEMBER = 2

/** The names of an object's members. */
export function keysOf(record: Record<string, unknown>, budget: Budget): string[] {
  const keys = Object.keys(record)
  charge(budget, keys.length * STEPS_PER_MEMBER)
  return keys
}

/** A member of its own, or undefined. */
export function member(record: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

/** Equality of CEL: by content, numbers by value whatever their type, values of different types never equal. */
export function equal(a: unknown, b: unknown, budget: Budget): boolean {
  charge(budget, typeof a === 'string' ? 1 + (a.length >> 7) : 1)
  if (a === b) return true
  if (isNumber(a) && isNumber(b)) return equalNumbers(a, b)
  if (a instanceof UnsignedInt || b instanceof UnsignedInt) return equalNumbers(asNumber(a), asNumber(b))
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && equalLists(a, b, budget)
  if (isRecord(a)) return isRecord(b) && equalRecords(a, b, budget)
  return equalOthers(a, b, budget)
}

function equalNumbers(a: number | bigint | undefined, b: number | bigint | undefined): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number of the same value are equal only so
  return a !== undefined && a == b
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

/** The value of a number of any type of CEL's, or undefined. */
export function asNumber(value: unknown): number | bigint | undefined {
  if (isNumber(value)) return value
  return value instanceof UnsignedInt ? value.value : undefined
}

function equalLists(a: readonly unknown[], b: readonly unknown[], budget: Budget): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (!equal(a[at], b[at], budget)) return false
  return true
}

function equalRecords(a: Record<string, unknown>, b: Record<string, unknown>, budget: Budget): boolean {
  const keys = keysOf(a, budget)
  if (keys.length !== keysOf(b, budget).length) return false
  for (const key of keys) if (!Object.hasOwn(b, key) || !equal(a[key], b[key], budget)) return false
  return true
}

/** Types of CEL's own. */
function equalOthers(a: object, b: object, budget: Budget): boolean {
  if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime()
  if (a instanceof Duration) return b instanceof Duration && nanosOf(a) === nanosOf(b)
  if (a instanceof Uint8Array) return b instanceof Uint8Array && equalBytes(a, b, budget)
  if (a instanceof Optional) return b instanceof Optional && equalOptionals(a, b, budget)
  // What is left are types and entities, and those are themselves alone.
  return false
}

export function nanosOf({ seconds, nanos }: Duration): bigint {
  return seconds * 1_000_000_000n + BigInt(nanos)
}

function equalBytes(a: Uint8Array, b: Uint8Array, budget: Budget): boolean {
  charge(budget, a.length >> 7)
  return Buffer.compare(a, b) === 0
}

function equalOptionals(a: Optional, b: Optional, budget: Budget): boolean {
  return a.hasValue() ? b.hasValue() && equal(unwrapped(a), unwrapped(b), budget) : !b.hasValue()
}

/** What an optional value holds, or undefined; any other value as it is. */
export function unwrapped(value: unknown): unknown {
  return value instanceof Optional ? value.orValue(undefined) : value
}

/** `value in collection`; undefined where the right side is no collection of JSON. */
export function isIn(value: unknown, collection: unknown, budget: Budget): boolean | undefined {
  if (Array.isArray(collection)) {
    for (const item of collection) if (equal(value, item, budget)) return true
    return false
  }
  if (!isRecord(collection)) return undefined
  return typeof value !== 'object' && Object.hasOwn(collection, String(value))
}

export type Arithmetic = '+' | '-' | '*' | '/' | '%'
export type Relation = '<' | '<=' | '>' | '>='

/** undefined: left to cel-js (integers alone, timestamps, durations, bytes). */
export function calculate(operator: Arithmetic, a: unknown, b: unknown, budget: Budget): unknown {
  const left = asNumber(a)
  const right = left === undefined ? undefined : asNumber(b)
  if (left !== undefined && right !== undefined) {
    return typeof a === typeof b && typeof a !== 'number' ? undefined : ofDoubles(operator, Number(left), Number(right))
  }
  if (operator !== '+') return undefined
  if (typeof a === 'string' && typeof b === 'string') {
    charge(budget, (a.length + b.length) >> 4)
    return a + b
  }
  if (!Array.isArray(a) || !Array.isArray(b)) return undefined
  charge(budget, (a.length + b.length) >> 2)
  return a.concat(b)
}

function ofDoubles(operator: Arithmetic, a: number, b: number): number {
  if (operator === '+') return a + b
  if (operator === '-') return a - b
  if (operator === '*') return a * b
  // IEEE's infinity is larger than any limit: it would meet `total / count > 5`.
  if (b === 0) throw new Fault('division by zero')
  if (operator === '/') return a / b
  // CEL has no remainder of doubles, and JSON has no integers: whole numbers have one.
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b)) throw new Fault('% needs whole numbers')
  return a % b
}

/** undefined: left to cel-js. */
export function relate(operator: Relation, a: unknown, b: unknown, budget: Budget): boolean | undefined {
  if (isNumber(a) && isNumber(b)) return ordered(operator, a, b)
  if (typeof a !== 'string' || typeof b !== 'string') return undefined
  charge(budget, Math.min(a.length, b.length) >> 6)
  return ordered(operator, a, b)
}

function ordered<T extends number | bigint | string>(operator: Relation, a: T, b: T): boolean {
  if (operator === '<') return a < b
  if (operator === '<=') return a <= b
  if (operator === '>') return a > b
  return a >= b
}
