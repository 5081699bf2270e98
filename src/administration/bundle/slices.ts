import { setImmediate as turn } from 'node:timers/promises'

// A slice's statements stay well within the time that one statement may take, and what is computed for it well within
// what others may be kept waiting for.
const ITEMS = 500
const CHARACTERS = 1024 * 1024

/** Slices of items that fit into one statement, by their number. Between two of them others have their turn. */
export async function* slices<T>(items: Iterable<T>, limit = ITEMS): AsyncGenerator<T[]> {
  let slice: T[] = []
  for (const item of items) {
    slice.push(item)
    if (slice.length < limit) continue
    yield slice
    slice = []
    await turn()
  }
  if (slice.length > 0) yield slice
}

/** The same, by their number and by what they take as JSON. */
export async function* sizedSlices<T>(items: Iterable<T>): AsyncGenerator<T[]> {
  let slice: T[] = []
  let size = 0
  for (const item of items) {
    const added = JSON.stringify(item).length
    if (slice.length === ITEMS || (slice.length > 0 && size + added > CHARACTERS)) {
      yield slice
      slice = []
      size = 0
      await turn()
    }
    slice.push(item)
    size += added
  }
  if (slice.length > 0) yield slice
}

/** Every page of what is read by `after`, until one is not full. */
export async function* pages<T>(read: (after: T | undefined, limit: number) => Promise<T[]>): AsyncGenerator<T[]> {
  let after: T | undefined
  for (;;) {
    const page = await read(after, ITEMS)
    if (page.length > 0) yield page
    if (page.length < ITEMS) return
    after = page.at(-1)
  }
}

export const NIL_UUID = '00000000-0000-0000-0000-000000000000'
