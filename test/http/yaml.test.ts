import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { Failure, type Problem } from '../../src/failure.ts'
import { parseYaml } from '../../src/http/yaml.ts'
import { bundles } from '../administration/random-bundle.ts'

function problemsOf(text: string): readonly Problem[] {
  try {
    parseYaml(text)
  } catch (error) {
    if (error instanceof Failure) return error.problems
    throw error
  }
  return []
}

test('what JSON can say is read as it is written', () => {
  expect(parseYaml('a: [1, 2.5, -3, "x", yes, true, null, ~]\nb: {c: 2026-01-01}\n? d\n: |\n  two\n  lines\n')).toEqual(
    {
      a: [1, 2.5, -3, 'x', 'yes', true, null, null],
      b: { c: '2026-01-01' },
      d: 'two\nlines\n',
    },
  )
})

test('a name that looks like a number or a truth is the text that it is written as', () => {
  expect(parseYaml('1: a\ntrue: b\n0x10: c\n<<: d')).toEqual({ '1': 'a', true: 'b', '0x10': 'c', '<<': 'd' })
})

test.each<[string, string, string, RegExp]>([
  ['a member that stands twice', 'a:\n  b: 1\n  c: 2\n  b: 3', '/a/b', /line 4: the member stands twice/],
  ['two names that are one text', '1: a\n"1": b', '/1', /stands twice/],
  ['an anchor', 'a: &x 1', '/a', /anchors/],
  ['an alias', 'a: &x [1]\nb: *x', '/b', /line 2: aliases/],
  ['a tag', 'a: !!binary aGk=', '/a', /tags/],
  ['a tag of its own', 'a: !thing {}', '/a', /tag/i],
  ['a number that is none', 'a: .nan', '/a', /no number/],
  ['an infinite number', 'a: -.inf', '/a', /no number/],
  ['a whole number that has a double', 'a: 9007199254740993', '/a', /beyond 2\^53/],
  ['a name that is a list', '[a]: 1', '', /named by a text/],
  ['a member named __proto__', '__proto__: {a: 1}', '/__proto__', /__proto__/],
  ['a lone surrogate', 'a: "\\ud800"', '/a', /surrogate/],
  ['NUL', 'a: "\\0"', '/a', /NUL/],
  ['a raw NUL', 'a: \u0000', '', /NUL/],
  ['two documents', 'a: 1\n---\nb: 2', '', /documents/],
  ['a text that does not end', 'a: "x', '', /line 1/],
  ['33 levels', `a: ${'['.repeat(32)}${']'.repeat(32)}`, `/a${'/0'.repeat(31)}`, /deeper than 32/],
])('%s is refused, with its place', (_what, text, pointer, detail) => {
  expect(problemsOf(text)).toContainEqual({ pointer, detail: expect.stringMatching(detail) })
})

test('all problems come at once', () => {
  expect(problemsOf('a: &x 1\nb: *x\nc: .nan\nc: 1').map(({ pointer }) => pointer)).toEqual(['/a', '/b', '/c', '/c'])
})

test.each([
  ['aliases that multiply', `a: &a [${'x,'.repeat(9)}x]\n${letters('bcdefghij')}`],
  ['deep brackets', '['.repeat(30_000)],
  ['deep braces', '{a: '.repeat(8_000)],
  ['a deep block', Array.from({ length: 250 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
  ['many errors', 'a: "\\z"\n'.repeat(2_000)],
])('%s are refused within a second of the processor', (_what, text) => {
  const began = process.cpuUsage()
  expect(problemsOf(text).length).toBeGreaterThan(0)
  const { user, system } = process.cpuUsage(began)
  expect((user + system) / 1000).toBeLessThan(1_000)
})

function letters(names: string): string {
  let before = 'a'
  return [...names]
    .map((letter) => {
      const line = `${letter}: &${letter} [${Array(9).fill(`*${before}`).join(', ')}]`
      before = letter
      return line
    })
    .join('\n')
}

/** Long enough to be read in parts. */
// In front, since behind a literal block a comment is part of its text.
// In front, since behind a literal block a comment is part of its text.
const padded = (text: string) => `${'#'.repeat(70_000)}\n${text}`

const read = (text: string) => {
  try {
    return { value: parseYaml(text) }
  } catch (error) {
    if (error instanceof Failure) return 'refused'
    throw error
  }
}

test('a document that is read in parts is the same document', () => {
  fc.assert(
    fc.property(bundles, fc.constantFrom(0, 2, 4), fc.boolean(), (bundle, indent, flow) => {
      const plain = JSON.parse(JSON.stringify(bundle))
      const text = stringify(plain, {
        aliasDuplicateObjects: false,
        indentSeq: indent > 0,
        indent: indent || 2,
        ...(flow && { collectionStyle: 'flow' }),
      })
      expect(parseYaml(padded(text))).toEqual(plain)
    }),
    { numRuns: 80, seed: 3 },
  )
})

test('a document with a fault in it is refused or the same, whether or not it is read in parts', () => {
  let both = 0
  fc.assert(
    fc.property(
      bundles,
      fc.nat(),
      fc.constantFrom(
        '\n',
        '"',
        "'",
        '- ',
        '  ',
        ': ',
        '\n- ',
        '\nrules:\n',
        '[',
        '{',
        '#',
        '|\n',
        '\t',
        '&a ',
        '*a',
        '---\n',
        '',
      ),
      fc.nat(3),
      (bundle, at, inserted, removed) => {
        const text = stringify(JSON.parse(JSON.stringify(bundle)), { aliasDuplicateObjects: false })
        const place = at % text.length
        const broken = text.slice(0, place) + inserted + text.slice(place + removed)
        const [whole, parts] = [read(broken), read(padded(broken))]
        expect(parts).toEqual(whole)
        if (whole !== 'refused') both++
      },
    ),
    { numRuns: 300, seed: 4 },
  )
  expect(both).toBeGreaterThan(20)
})

test('a list that only looks like one at the top is read where it stands', () => {
  for (const text of [
    'settings: "\nroles:\n  - name\n"',
    'settings: {\nroles:\n  - name\n}',
    'roles:\n  - a\n  - b\n c: 1',
    'roles:\n  - a\nroles:\n  - b',
    'roles:\n  - a\nroles: []',
    'roles: |\n  - a\n',
    'roles:\n- a\n-\n  b: 1\n- - c\n',
  ]) {
    expect(read(padded(text)), text).toEqual(read(text))
  }
})
