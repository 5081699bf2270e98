import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'
import type { Budget } from './budget.ts'
import { charge, Fault } from './cel-values.ts'

const MAX_PATTERN_LENGTH = 1000
const MAX_PROGRAM_SIZE = 2000

// Measured for RE2JS: 2 to 8 ns a character and instruction (20 for large classes of Unicode), 0.5 to 10 ms to compile.
const STEPS_TO_COMPILE = 20_000
const STEPS_PER_INSTRUCTION = 50

/** Compiles a regular expression of RE2, or throws what is wrong with it. */
export function regularExpression(pattern: string): RE2JS {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    throw new Fault(`the regular expression is longer than ${MAX_PATTERN_LENGTH} characters`)
  }
  const made = compileRegularExpression(pattern)
  if (made.programSize() > MAX_PROGRAM_SIZE) throw new Fault('the regular expression is too large')
  return made
}

function compileRegularExpression(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    throw new Fault(`the regular expression is invalid: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Whether the expression is found anywhere in the text. Linear in the text, for every expression. */
export function finds(expression: RE2JS, text: string, budget: Budget): boolean {
  charge(budget, (text.length * (8 + expression.programSize())) >> 2)
  return expression.test(text)
}

// Expressions that came as data. Those that stand in a condition are kept with it.
const dynamic = new LRUCache<string, RE2JS>({ max: 200 })

/** CEL's `matches` with a pattern that is not known before it is evaluated. */
export function matchesText(text: string, pattern: string, budget: Budget): boolean {
  const known = dynamic.get(pattern)
  if (known !== undefined) return finds(known, text, budget)
  charge(budget, STEPS_TO_COMPILE)
  const made = regularExpression(pattern)
  charge(budget, STEPS_PER_INSTRUCTION * made.programSize())
  dynamic.set(pattern, made)
  return finds(made, text, budget)
}

// Measured: 1 to 2 µs to throw and catch anything.
const STEPS_PER_CATCH = 40
// Measured: some 10 µs for an error with its stack and a picture of its place, and 1 ns a character before the place.
const STEPS_PER_ERROR = 400

/** Pays for an error that is caught and gone on from; past the budget there is no going on. */
export function chargeCatch(budget: Budget): void {
  charge(budget, STEPS_PER_CATCH)
}

/** Pays for an error of cel-js, after it was made. */
export function chargeError(place: number, budget: Budget): void {
  charge(budget, STEPS_PER_ERROR + (place >> 2))
}

// Methods that take a place in a text, which cel-js wants as an integer; in JSON it is a double.
const TAKE_PLACES = new Set(['substring', 'indexOf', 'lastIndexOf', 'split', 'at'])

export function takesPlaces(name: string): boolean {
  return TAKE_PLACES.has(name)
}

export function withPlaces(operands: readonly unknown[]): readonly unknown[] {
  return operands.map((value) => (Number.isSafeInteger(value) ? BigInt(Number(value)) : value))
}

// Text that a number or a duration is read from; more would cost more than linear time.
const MAX_NUMERAL = 100
const NUMERALS = new Set(['duration', 'int', 'uint', 'double', 'timestamp'])
const SEARCHES = new Set(['contains', 'indexOf', 'lastIndexOf', 'split'])

/** What a call costs beside the size of its operands, in steps: measured. */
const STEPS_PER_CALL: Readonly<Record<string, number>> = {
  string: 14,
  level: 6,
  duration: 9,
  int: 5,
  double: 5,
  uint: 5,
  join: 5,
  type: 4,
}
/** For each character of the first operand; of a list, for each item as well. */
const STEPS_PER_CHARACTER: Readonly<Record<string, number>> = {
  duration: 4,
  timestamp: 2,
  split: 0.3,
  join: 0.3,
  json: 1,
}

/** Pays for a call of a function before it is made, by the size of its operands. */
export function chargeCall(name: string, operands: readonly unknown[], budget: Budget): void {
  let size = 0
  for (const operand of operands) size += sizeOf(operand)
  charge(budget, (STEPS_PER_CALL[name] ?? 1) + (size >> 3))
  const [first, second] = operands
  const each = STEPS_PER_CHARACTER[name]
  if (each !== undefined) charge(budget, Math.ceil(each * sizeOf(first)))
  if (typeof first === 'string' && NUMERALS.has(name) && first.length > MAX_NUMERAL) {
    throw new Fault(`${name}() of a text longer than ${MAX_NUMERAL} characters`)
  }
  if (typeof second !== 'string') return
  // V8 searches in time that can follow the product (measured: 0.2 ns each), and `join` repeats its separator.
  if (typeof first === 'string' && SEARCHES.has(name)) charge(budget, Math.ceil((first.length * second.length) / 256))
  else if (Array.isArray(first)) charge(budget, Math.ceil((first.length * second.length) / 16))
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length
  return Array.isArray(value) ? listSize(value) : 0
}

function listSize(list: readonly unknown[]): number {
  let size = list.length
  for (const item of list) if (typeof item === 'string') size += item.length
  return size
}
