import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MaskKind } from '../src/masking/kinds.ts'
import { mask, readMasking } from '../src/masking.ts'
import { leavesOf, pathInTree, secretTree, valuesAt } from './support/secret-records.ts'

const hash = (text: string) => createHmac('sha256', 'key').update(text).digest('hex')
const one = (value: unknown, kind: MaskKind) => mask({ value }, { fields: { value: kind } }, { hash }).record

describe('what a kind shows', () => {
  test.each<[MaskKind, unknown, unknown]>([
    ['email', 'alice@example.com', 'a***e@example.com'],
    ['email', 'bob@example.com', 'b*b@example.com'],
    ['email', 'al@example.com', '**@example.com'],
    ['email', 'a@example.com', '*@example.com'],
    ['email', '"odd@one"@example.com', '"*******"@example.com'],
    ['email', 'nobody', '******'],
    ['email', '@example.com', '********.***'],
    ['credit_card', '4111 1111 1111 1234', '**** **** **** 1234'],
    ['credit_card', '4111-1111-1111-1234', '****-****-****-1234'],
    ['credit_card', '4111111111111234', '************1234'],
    ['credit_card', 4111111111111234, '************1234'],
    ['credit_card', '1234', '****'],
    ['credit_card', 'card 4111111111111234', '**** ************1234'],
    ['credit_card', '12345678901234567890', '********************'],
    ['ssn', '123-45-6789', '***-**-6789'],
    ['ssn', '123456789', '*****6789'],
    ['ssn', 123456789, '*****6789'],
    ['ssn', '12-34', '**-**'],
    ['partial', 'abcdefghijklmnopqrst', '****************qrst'],
    ['partial', 'abcdefgh', '******gh'],
    ['partial', 'abc', '***'],
    ['partial', '', ''],
    ['hash', 'alice', hash('alice')],
    ['null', 'alice', null],
    ['clear', 'alice', 'alice'],
    ['email', null, null],
    ['hash', null, null],
  ])('%s of %j is %j', (kind, value, shown) => {
    expect(one(value, kind)).toEqual({ value: shown })
  })

  test.each<[string, unknown, MaskKind]>([
    ['a removed member', 'x', 'remove'],
    ['an object under a kind that is made for text', { deep: 'x' }, 'email'],
  ])('%s is gone', (_, value, kind) => {
    expect(one(value, kind)).toEqual({})
  })

  test('what should be hashed is removed where there is no key to do it with', () => {
    const { record, masked } = mask({ id: 'alice', n: 1 }, { fields: { id: 'hash' } })
    expect([record, masked]).toEqual([{ n: 1 }, [{ path: 'id', kind: 'remove' }]])
  })
})

describe('where a path leads', () => {
  const record = {
    email: 'alice@example.com',
    cards: [{ number: '4111111111111111' }, { number: null }, { other: 1 }],
    tags: ['alpha beta gamma', 'delta'],
    people: { a: { ssn: '123-45-6789' }, b: { ssn: 'x' } },
    'a.b': { c: 'secret' },
    born: new Date(0),
  }

  test('through objects, lists, any member and quoted names, and the answer says what was masked', () => {
    const fields = {
      'cards.number': 'credit_card',
      tags: 'partial',
      'people.*.ssn': 'ssn',
      '["a.b"].c': 'null',
      born: 'partial',
    }
    const { record: shown, masked } = mask(record, readMasking({ fields }))
    expect(shown).toEqual({
      email: 'alice@example.com',
      cards: [{ number: '************1111' }, { number: null }, { other: 1 }],
      tags: ['************amma', '****a'],
      people: { a: { ssn: '***-**-6789' }, b: { ssn: '*' } },
      'a.b': { c: null },
      born: '********************000Z',
    })
    expect(masked.map(({ path }) => path)).toEqual([
      'cards.number',
      'tags',
      'people.a.ssn',
      'people.b.ssn',
      '["a.b"].c',
      'born',
    ])
  })

  test('with others removed, nothing is left but what is named, all the way down', () => {
    const fields = { email: 'email', 'people.a': 'clear', 'cards.number': 'null' } as const
    expect(mask(record, { fields, others: 'remove' }).record).toEqual({
      email: 'a***e@example.com',
      cards: [{ number: null }, { number: null }, {}],
      people: { a: { ssn: '123-45-6789' } },
    })
  })

  test('of two ways to mask one value the stricter counts', () => {
    const fields = { 'people.*.ssn': 'remove', 'people.a.ssn': 'clear' } as const
    expect(mask(record.people, { fields: { '*.ssn': 'remove', 'a.ssn': 'clear' } }).record).toEqual({ a: {}, b: {} })
    expect(mask(record, { fields }).record).toMatchObject({ people: { a: {}, b: {} } })
  })

  test('what is given stays as it is', () => {
    const given = structuredClone(record)
    mask(given, { fields: { email: 'remove', 'cards.number': 'null' } })
    expect(given).toEqual(record)
  })

  test('a member called __proto__ is a member', () => {
    const given: unknown = JSON.parse('{"__proto__": {"ssn": "123-45-6789"}, "constructor": "c"}')
    const shown = JSON.stringify(mask(given, { fields: { '__proto__.ssn': 'null' } }).record)
    expect(shown).toBe('{"__proto__":{"ssn":null},"constructor":"c"}')
  })
})

test.each([
  ['no object', 'email'],
  ['no fields', {}],
  ['a list of fields', { fields: 1 }],
  ['an unknown kind', { fields: { a: 'rot13' } }],
  ['an inherited kind', { fields: { a: 'constructor' } }],
  ['a path that is none', { fields: { 'a..b': 'null' } }],
  ['others that are neither kept nor removed', { fields: {}, others: 'hide' }],
])('a masking with %s cannot be read', (_, given) => {
  expect(() => readMasking(given)).toThrow(TypeError)
})

describe('of random records', () => {
  const hiding = fc.constantFrom<MaskKind>('email', 'credit_card', 'ssn', 'partial', 'hash', 'null', 'remove')
  const fieldsOf = fc.array(fc.tuple(pathInTree, hiding), { minLength: 1, maxLength: 4 })

  test('no masked value is anywhere in what is shown, and all else is as it was', () => {
    fc.assert(
      fc.property(secretTree, fieldsOf, (record, fields) => {
        const kinds: Record<string, MaskKind> = Object.fromEntries(fields.map(([at, kind]) => [at.join('.'), kind]))
        const shown = JSON.stringify(mask(record, { fields: kinds }, { hash }).record)
        const hidden = new Set(Object.keys(kinds).flatMap((at) => valuesAt(record, at.split('.'))))
        for (const value of leavesOf(record)) {
          expect(shown.includes(JSON.stringify(value))).toBe(!hidden.has(value))
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('with others removed, no value that is not named is anywhere in what is shown', () => {
    fc.assert(
      fc.property(secretTree, fieldsOf, (record, fields) => {
        const kinds: Record<string, MaskKind> = Object.fromEntries(fields.map(([at, kind]) => [at.join('.'), kind]))
        const shown = JSON.stringify(mask(record, { fields: kinds, others: 'remove' }, { hash }).record)
        for (const value of leavesOf(record)) expect(shown).not.toContain(String(value))
      }),
      { numRuns: 2_000 },
    )
  })
})
