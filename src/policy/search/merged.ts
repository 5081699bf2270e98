import { inByteOrder } from './sorted-texts.ts'

interface Head {
  text: string
  readonly rest: Iterator<string>
}

/** Sorted lists as one, each text once: the cost of a text follows the logarithm of how many lists there are. */
export function* merged(lists: readonly Iterator<string>[]): Generator<string> {
  const heap: Head[] = []
  for (const rest of lists) {
    const { done, value } = rest.next()
    if (done !== true) heap.push({ text: value, rest })
  }
  for (let at = (heap.length >>> 1) - 1; at >= 0; at--) sink(heap, at)
  let last: string | undefined
  for (let head = heap[0]; head !== undefined; head = heap[0]) {
    const { text } = head
    if (text !== last) yield text
    last = text
    advance(heap, head)
  }
}

function advance(heap: Head[], head: Head): void {
  const { done, value } = head.rest.next()
  if (done !== true) head.text = value
  else {
    const end = heap.pop()
    if (end === undefined || heap.length === 0) return
    heap[0] = end
  }
  sink(heap, 0)
}

/** Moves a head down to where none below it comes before it. */
function sink(heap: Head[], from: number): void {
  const head = heap[from]
  if (head === undefined) return
  let at = from
  for (;;) {
    const child = smaller(heap, 2 * at + 1)
    const below = heap[child]
    if (below === undefined || inByteOrder(head.text, below.text) <= 0) break
    heap[at] = below
    at = child
  }
  heap[at] = head
}

function smaller(heap: readonly Head[], left: number): number {
  const one = heap[left]
  const other = heap[left + 1]
  return one !== undefined && other !== undefined && inByteOrder(other.text, one.text) < 0 ? left + 1 : left
}
