import type { Budget } from './budget.ts'
import { asNumber, charge, equal, Fault } from './cel-values.ts'

/** Lists as sets of JSON values, equal as CEL has it: by content, numbers by value. */

// Measured: some 100 ns to put a value into a set or to look for it.
const STEPS_PER_VALUE = 3

/** Whether two lists have a value in common. Linear in their lengths for scalars. */
export function intersects(a: unknown, b: unknown, budget: Budget): boolean {
  const values = listOf(a)
  const known = new Values(listOf(b), budget)
  return values.some((value) => known.has(value))
}

/** Whether all values of the first list are in the second; the empty list is a subset of every list. */
export function subset(a: unknown, b: unknown, budget: Budget): boolean {
  const values = listOf(a)
  const known = new Values(listOf(b), budget)
  return values.every((value) => known.has(value))
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new Fault('intersects() and subset() are of two lists')
}

class Values {
  readonly #scalars = new Set<unknown>()
  // Lists, maps and the like are compared one by one; the budget sees to it that there are not too many.
  readonly #others: object[] = []
  readonly #budget: Budget

  constructor(values: readonly unknown[], budget: Budget) {
    this.#budget = budget
    charge(budget, values.length * STEPS_PER_VALUE)
    for (const value of values) {
      if (typeof value !== 'object' || value === null || asNumber(value) !== undefined)
        this.#scalars.add(canonical(value))
      else this.#others.push(value)
    }
  }

  has(value: unknown): boolean {
    charge(this.#budget, STEPS_PER_VALUE)
    // A set would find a NaN, which equals nothing.
    if (this.#scalars.has(canonical(value))) return !Number.isNaN(value)
    return typeof value === 'object' && this.#others.some((other) => equal(value, other, this.#budget))
  }
}

/** One value for all that are equal: 3, 3.0 and 3u. */
function canonical(value: unknown): unknown {
  const number = asNumber(value)
  if (number === undefined) return value
  if (typeof number === 'number')
    return Number.isInteger(number) && !Number.isSafeInteger(number) ? BigInt(number) : number
  return number <= MAX_SAFE && number >= -MAX_SAFE ? Number(number) : number
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)
