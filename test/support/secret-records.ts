import fc from 'fast-check'

const name = fc.constantFrom('a', 'b', 'c', 'd')
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('text', 'number'),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(name, tie('tree')),
  ),
}))

/**
 * Anything that JSON can say: members with names that tell nothing, and values that are nowhere by chance. Each value is
 * there once: of one that stood in two places, of which one is masked, nobody could say whether it may be shown.
 */
export const secretTree = tree.map((shape) => withValues(shape, { last: 1e15 }))
export const secretRecord = fc.dictionary(name, tree).map((shape) => withValues(shape, { last: 1e15 }))
export const pathInTree = fc.array(fc.oneof(name, fc.constant('*')), { minLength: 1, maxLength: 3 })

function withValues(shape: unknown, used: { last: number }): unknown {
  if (shape === 'text') return `s${++used.last}`
  if (shape === 'number') return ++used.last
  if (Array.isArray(shape)) return shape.map((item) => withValues(item, used))
  return Object.fromEntries(Object.entries(shape as object).map(([key, member]) => [key, withValues(member, used)]))
}

/** All values at a path and beneath it. */
export function valuesAt(value: unknown, [head, ...rest]: readonly string[]): unknown[] {
  if (Array.isArray(value)) return value.flatMap((item) => valuesAt(item, head === undefined ? [] : [head, ...rest]))
  if (head === undefined) return leavesOf(value)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => (head === '*' || head === key ? valuesAt(member, rest) : []))
}

export function leavesOf(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [value]
  return Object.values(value).flatMap(leavesOf)
}
