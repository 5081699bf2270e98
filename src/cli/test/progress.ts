import type { Output } from '../io.ts'

export interface Progress {
  show(asked: number): void
  clear(): void
}

// Back to the beginning of the line, and the line away.
const CLEAR = '\r\u001b[K'

// As many are asked before anybody wonders.
const MANY = 1000

/** How many cases were asked so far, on a terminal, and gone in the end. */
export function progressOn(output: Output): Progress {
  let isShown = false
  return {
    show(asked) {
      if (output.isTTY !== true || asked < MANY) return
      isShown = true
      output.write(`${CLEAR}${asked.toLocaleString('en')} cases …`)
    },
    clear() {
      if (isShown) output.write(CLEAR)
    },
  }
}
