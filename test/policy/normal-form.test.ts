import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Normalization, normalTarget, patternFault } from '../../src/policy/normal-form.ts'
import { idPattern, literalId, matches } from '../../src/policy/pattern.ts'

const text = (form: Normalization, target: string) => {
  const normal = normalTarget(form, target)
  return normal.fault === undefined ? normal.text : `fault: ${normal.fault}`
}

describe('a path', () => {
  test.each([
    ['/etc/passwd', '/etc/passwd'],
    ['/', '/'],
    ['//', '/'],
    ['/.', '/'],
    ['/srv//project///x', '/srv/project/x'],
    ['/srv/./project/.', '/srv/project'],
    ['/srv/public/../../etc/shadow', '/etc/shadow'],
    ['/srv/project/', '/srv/project'],
    ['/a/b/..', '/a'],
    ['/..plan/...', '/..plan/...'],
    ['/caf\u0065\u0301', '/caf\u00e9'],
    ['/\u212b', '/\u00c5'],
    ['/a\\b/%2e%2e/x', '/a\\b/%2e%2e/x'],
    ['/\u{1f4c4}', '/\u{1f4c4}'],
  ])('%j is %j', (target, wanted) => expect(text('path', target)).toBe(wanted))

  test.each([
    ['', 'is empty'],
    ['etc/passwd', 'no absolute'],
    ['./x', 'no absolute'],
    ['~/x', 'no absolute'],
    ['C:\\x', 'no absolute'],
    ['/..', 'above the root'],
    ['/a/../../etc', 'above the root'],
    ['/a\u0000b', 'control'],
    ['/a\nb', 'control'],
    ['/a\u0085b', 'control'],
    ['/a\u007fb', 'control'],
    ['/a\ud800b', 'control'],
    [`/${'x'.repeat(512)}`, 'longer than 512'],
  ])('%j has none', (target, fault) => expect(text('path', target)).toMatch(new RegExp(`^fault: .*${fault}`)))

  test('too long as it is written may be short enough', () => {
    expect(text('path', `${'/.'.repeat(1000)}/etc`)).toBe('/etc')
  })
})

describe('an address', () => {
  test.each([
    ['db.internal:5432', 'db.internal:5432'],
    ['DB.Internal.:05432', 'db.internal:5432'],
    ['10.0.0.1:80', '10.0.0.1:80'],
    ['0x7f.1:80', '127.0.0.1:80'],
    ['2130706433:80', '127.0.0.1:80'],
    ['[2001:DB8:0:0:0:0:0:1]:443', '[2001:db8::1]:443'],
    ['[::ffff:10.0.0.1]:443', '10.0.0.1:443'],
    ['[::FFFF:0a00:0001]:443', '10.0.0.1:443'],
    ['b\u00fccher.example:443', 'xn--bcher-kva.example:443'],
    ['0.0.0.0:0', '0.0.0.0:0'],
  ])('%j is %j', (target, wanted) => expect(text('address', target)).toBe(wanted))

  test.each([
    'db.internal',
    ':443',
    'db.internal:',
    'db.internal:65536',
    'db.internal:-1',
    'a b:1',
    'user@host:1',
    'host/path:1',
    'host?x:1',
    'ho%73t:1',
    '2001:db8::1:443',
    '[fe80::1%25eth0]:1',
    '[2001:db8::g]:1',
    '256.0.0.1:1',
    'x..:1',
    '.:1',
    'host:1\n',
  ])('%j is none', (target) => expect(text('address', target)).toMatch(/^fault/))
})

test('without a form a target is what it is, but for control characters', () => {
  expect(text('none', '//../X')).toBe('//../X')
  expect(text('none', 'a\tb')).toMatch(/^fault/)
})

describe('a pattern that no normalised target matches is found out', () => {
  test.each<[Normalization, string]>([
    ['path', '/srv//x'],
    ['path', '/srv/./x/*'],
    ['path', '/srv/../x/**'],
    ['path', '/srv/x/'],
    ['path', '/srv/**/'],
    ['path', 'srv/*'],
    ['path', '*'],
    ['path', '?srv'],
    ['path', '/\\./x'],
    ['path', '/caf\u0065\u0301/*'],
    ['address', 'DB.internal:443'],
    ['address', '*.Internal:443'],
    ['address', 'db.internal.:443'],
    ['address', '*.internal.:443'],
    ['address', 'db.internal:0443'],
    ['address', '*.internal:0443'],
    ['address', 'db.internal'],
    ['address', '[2001:0db8::1]:443'],
    ['address', '*.b\u00fccher.example:443'],
  ])('%s %j', (form, pattern) => expect(patternFault(form, pattern)).toBeTypeOf('string'))

  test.each<[Normalization, string]>([
    ['path', '/'],
    ['path', '**'],
    ['path', '/**'],
    ['path', '**/*.key'],
    ['path', '/srv/*/x?/**'],
    ['path', '/bin/*sh'],
    ['path', '/a/.*'],
    ['path', '/a\\*b'],
    ['address', '*.internal:443'],
    ['address', '*:*'],
    ['address', '10.0.?.*:80'],
    ['address', '[2001:db8::*]:443'],
    ['address', 'db.internal:5432'],
    ['none', '//x/../'],
  ])('and others are not: %s %j', (form, pattern) => expect(patternFault(form, pattern)).toBeUndefined())
})

const piece = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  'a',
  'B',
  'e\u0301',
  '\u00e9',
  '\u212b',
  ' ',
  '*',
  '\\',
  '?',
  '\u0301',
  '\u0338',
)
const path = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)
const address = fc
  .tuple(
    fc.array(fc.constantFrom('a', 'B', '.', '1', '0', 'x', ':', '[', ']', '-', '\u00fc', 'ffff'), { maxLength: 8 }),
    fc.nat(70_000),
  )
  .map(([host, port]) => `${host.join('')}:${port}`)

describe.each<[Normalization, fc.Arbitrary<string>]>([
  ['path', path],
  ['address', address],
])('of random targets, with the form %s', (form, targets) => {
  test('what is normal is so for good, and the pattern of it matches it and is in order', () => {
    fc.assert(
      fc.property(targets, (target) => {
        const normal = normalTarget(form, target)
        if (normal.fault !== undefined) return
        expect(normalTarget(form, normal.text)).toEqual(normal)
        const pattern = literalId(normal.text)
        expect(matches(idPattern(pattern), normal.text)).toBe(true)
        expect(patternFault(form, pattern)).toBeUndefined()
      }),
      { numRuns: 5_000 },
    )
  })

  test('a plain pattern that is in order is what its own target comes to', () => {
    fc.assert(
      fc.property(targets, (target) => {
        const pattern = literalId(target)
        if (patternFault(form, pattern) === undefined) expect(text(form, target)).toBe(target)
      }),
      { numRuns: 5_000 },
    )
  })
})

test('no target in its normal form leads elsewhere', () => {
  fc.assert(
    fc.property(path, (target) => {
      const normal = normalTarget('path', target)
      if (normal.fault === undefined) expect(normal.text).not.toMatch(/\/\/|\/\.\.?(\/|$)|.\/$/)
    }),
    { numRuns: 5_000 },
  )
})
