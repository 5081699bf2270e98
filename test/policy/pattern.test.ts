import fc from 'fast-check'
import { expect, test } from 'vitest'
import { actionPattern, idPattern, idPatternFault, literalId, matches } from '../../src/policy/pattern.ts'
import { PatternTable } from '../../src/policy/pattern-table.ts'
import { globs } from './naive.ts'

const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '**', '?', '\\', '😀'), maxLength: 8 })
const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?', '\\', '😀'), maxLength: 10 })

test('ids match as the plain reference says', () => {
  fc.assert(
    fc.property(pattern, text, (glob, id) => {
      // A lone "\" at the end is refused when it is written; here it stands for itself.
      fc.pre(idPatternFault(glob) === null)
      expect(matches(idPattern(glob), id)).toBe(globs(glob, id, false))
    }),
    { numRuns: 20_000 },
  )
})

test('actions match as the plain reference says', () => {
  fc.assert(
    fc.property(pattern, text, (glob, action) => {
      expect(matches(actionPattern(glob), action)).toBe(globs(glob, action, true))
    }),
    { numRuns: 20_000 },
  )
})

test('a literal id matches itself and nothing else', () => {
  fc.assert(
    fc.property(text, text, (id, other) => {
      expect(matches(idPattern(literalId(id)), other)).toBe(id === other)
    }),
  )
})

/** Two texts without a wildcard that mean one id are one entry. */
function meaning(glob: string): string {
  const { kind, literal } = idPattern(glob)
  return kind === 'exact' ? literalId(literal) : glob
}

test('a table finds all patterns that match, and after a removal no longer what was removed', () => {
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 40, selector: meaning }), text, fc.nat(), (globs, id, chosen) => {
      const table = new PatternTable<string>()
      for (const glob of globs) table.put(idPattern(glob), glob)
      const found: string[] = []
      table.collect(id, found)
      expect(found.sort()).toEqual(globs.filter((glob) => matches(idPattern(glob), id)).sort())

      const gone = globs.filter((_, place) => (place + chosen) % 2 === 0)
      for (const glob of gone) table.remove(idPattern(glob))
      const left: string[] = []
      table.collect(id, left)
      expect(left.sort()).toEqual(found.filter((glob) => !gone.includes(glob)))
      for (const glob of globs) expect(table.get(idPattern(glob))).toBe(gone.includes(glob) ? undefined : glob)

      for (const glob of globs) table.remove(idPattern(glob))
      expect(table.isEmpty).toBe(true)
    }),
    { numRuns: 3000 },
  )
})

test('a table with many patterns of one literal finds each of them', () => {
  const table = new PatternTable<number>()
  const globs = Array.from({ length: 50 }, (_, at) => `${at}*x.pdf`)
  globs.forEach((glob, at) => {
    table.put(idPattern(glob), at)
  })
  for (const glob of globs.slice(10, 40)) table.remove(idPattern(glob))
  const found: number[] = []
  table.collect('7 and 9x.pdf', found)
  expect(found).toEqual([7])
  expect(globs.map((glob) => table.get(idPattern(glob)))).toEqual(
    globs.map((_, at) => (at >= 10 && at < 40 ? undefined : at)),
  )
})

test('matching takes time linear in the text, for every pattern', () => {
  // A backtracking matcher needs longer than the universe for these.
  const hostile = [`${'a*'.repeat(250)}b`, `${'**a'.repeat(160)}b`, `${'*?'.repeat(200)}/b`]
  for (const glob of hostile) {
    const compiled = idPattern(glob)
    const began = process.cpuUsage()
    expect(matches(compiled, 'a'.repeat(512))).toBe(false)
    expect(process.cpuUsage(began).user).toBeLessThan(200_000)
  }
  const compiled = idPattern(`${'a*'.repeat(20)}b`)
  const time = (length: number) => {
    const began = process.cpuUsage()
    for (let round = 0; round < 5; round++) matches(compiled, 'a'.repeat(length))
    return process.cpuUsage(began).user
  }
  time(20_000)
  expect(time(80_000)).toBeLessThan(16 * time(20_000) + 20_000)
})

test('a pattern that ends in an escape of nothing is named as wrong', () => {
  expect(idPatternFault('a\\')).toContain('escapes nothing')
  expect(idPatternFault('a\\\\')).toBeNull()
  expect(idPatternFault('a\\*')).toBeNull()
})
