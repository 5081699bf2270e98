/** What one HTTP request may spend on conditions, in steps of 10 to 65 ns: at most about 20 ms. */
export const STEPS_PER_REQUEST = 300_000

/**
 * Steps left for the conditions of one HTTP request: all items of a batch draw on one budget. Once it is spent it
 * stays spent, and every further condition errs.
 */
export class Budget {
  left: number

  constructor(steps = STEPS_PER_REQUEST) {
    this.left = steps
  }

  get spent(): boolean {
    return this.left < 0
  }
}
