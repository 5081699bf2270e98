import { isDeepStrictEqual } from 'node:util'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import type { Properties } from '../../src/policy/model.ts'
import { checkSchema, compileSchema } from '../../src/policy/property-schema.ts'
import { spentMs } from '../support/stopwatch.ts'

const pointers = (schema: Properties, properties: Properties, budget = new Budget()) =>
  compileSchema(schema)
    .problems(properties, budget)
    .map(({ pointer }) => pointer)

const of = (schema: Properties) => ({ properties: { it: schema } })

describe('what is wrong with properties is located', () => {
  test.each([
    ['a type', of({ type: 'string' }), { it: 1 }, '/it'],
    ['a missing member', { required: ['owner'] }, {}, '/owner'],
    ['a missing member that every object inherits', { required: ['constructor'] }, {}, '/constructor'],
    ['a member that is not declared', { properties: {}, additionalProperties: false }, { 'a/b~': 1 }, '/a~1b~0'],
    ['a member within', of({ items: { required: ['x'] } }), { it: [{ x: 1 }, {}] }, '/it/1/x'],
    ['a choice', of({ enum: ['low', 'high'] }), { it: 'mid' }, '/it'],
    ['a choice of schemas, once', of({ anyOf: [{ type: 'string' }, { type: 'number' }] }), { it: true }, '/it'],
    ['a member named like a keyword', { properties: { anyOf: { type: 'string' } } }, { anyOf: 1 }, '/anyOf'],
    ['a format', of({ format: 'date-time' }), { it: 'yesterday' }, '/it'],
    ['a text too long for its format', of({ format: 'email' }), { it: `${'a'.repeat(300)}@b.cd` }, '/it'],
    ['what is no multiple of a decimal', of({ multipleOf: 0.01 }), { it: 0.075 }, '/it'],
    ['a pattern', of({ pattern: '^[a-z]+$' }), { it: 'A' }, '/it'],
    [
      'an item twice',
      of({ uniqueItems: true }),
      {
        it: [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      },
      '/it',
    ],
    [
      'an item "__proto__" twice',
      of({ items: { type: 'string' }, uniqueItems: true }),
      { it: ['__proto__', '__proto__'] },
      '/it',
    ],
    ['a reference', { $defs: { name: { type: 'string' } }, ...of({ $ref: '#/$defs/name' }) }, { it: 1 }, '/it'],
    [
      'what was not evaluated',
      { allOf: [{ properties: { a: {} } }], unevaluatedProperties: false },
      { a: 1, b: 1 },
      '/b',
    ],
  ])('%s', (_what, schema, properties, pointer) => {
    expect(checkSchema(schema)).toEqual([])
    expect(pointers(schema, properties)).toEqual([pointer])
  })

  test('two patterns of one schema are two', () => {
    const schema = { properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } }
    expect(pointers(schema, { a: 'a', b: 'b' })).toEqual([])
    expect(pointers(schema, { a: 'b', b: 'a' })).toEqual(['/a', '/b'])
  })

  test('decimals are multiples of decimals as they are written', () => {
    for (const it of [19.99, 0.07, 4.35, 1e6 + 0.01]) expect(pointers(of({ multipleOf: 0.01 }), { it })).toEqual([])
  })

  test('what every object inherits is no property', () => {
    const schema = { properties: { constructor: { type: 'string' }, toString: { type: 'string' } } }
    expect(pointers(schema, {})).toEqual([])
  })

  test('no detail holds what the properties hold', () => {
    const schema = of({ enum: ['a'], pattern: '^a', maxLength: 3, format: 'uuid', const: 'a' })
    expect(JSON.stringify(compileSchema(schema).problems({ it: 'secret' }, new Budget()))).not.toContain('secret')
  })
})

describe('a schema is refused, with the place, for', () => {
  test.each([
    ['a keyword that nobody knows', { propertees: {} }, '/propertees'],
    ['an unknown type', of({ type: 'strin' }), '/properties/it/type'],
    ['a value that its keyword does not take', of({ minLength: -1 }), '/properties/it/minLength'],
    ['something else than a schema', of(5 as never), '/properties/it'],
    ['an id', { $id: 'https://example.com/a' }, '/$id'],
    ['an anchor', of({ $anchor: 'a' }), '/properties/it/$anchor'],
    ['a dynamic reference', of({ $dynamicRef: '#a' }), '/properties/it/$dynamicRef'],
    ['a reference to elsewhere', of({ $ref: 'https://example.com/a' }), '/properties/it/$ref'],
    [
      'a reference to elsewhere that ends like one',
      { ...of({ $ref: 'x/$defs/a' }), $defs: { a: {} } },
      '/properties/it/$ref',
    ],
    ['a reference to nothing', of({ $ref: '#/$defs/none' }), '/properties/it/$ref'],
    [
      'a reference to what is no schema',
      { ...of({ $ref: '#/properties/it/const' }), const: {} },
      '/properties/it/$ref',
    ],
    ['a reference that cannot be read', of({ $ref: '#/%' }), '/properties/it/$ref'],
    ['a reference to itself', { $ref: '#' }, ''],
    [
      'references in a ring',
      { $defs: { a: { allOf: [{ $ref: '#/$defs/b' }] }, b: { not: { $ref: '#/$defs/a' } } } },
      '/$defs/a',
    ],
    ['another dialect', { $schema: 'http://json-schema.org/draft-07/schema#' }, '/$schema'],
    ['an unknown format', of({ format: 'regex' }), '/properties/it/format'],
    ['a pattern that only a backtracking engine has', of({ pattern: '(?=a)b' }), '/properties/it/pattern'],
    ['a pattern that does not end', of({ pattern: '(' }), '/properties/it/pattern'],
    ['a pattern of names that is none', { patternProperties: { '(': {} } }, '/patternProperties/('],
    ['patterns that are too large', of({ pattern: '(\\pL{500}){4}' }), '/properties/it/pattern'],
    ['a property "__proto__"', JSON.parse('{"properties":{"__proto__":{}}}'), '/properties/__proto__'],
    ['a keyword without effect', { if: {} }, ''],
  ])('%s', (_what, schema: Properties, pointer) => {
    expect(checkSchema(schema)[0]?.pointer).toBe(pointer)
  })

  test.each([
    ['its size', of({ description: 'x'.repeat(65_536) })],
    ['its depth', Array.from({ length: 30 }).reduce<Properties>((inner) => ({ items: inner }), {})],
    [
      'the number of its keywords',
      { properties: Object.fromEntries(Array.from({ length: 600 }, (_, n) => [n, { type: 'string' }])) },
    ],
    [
      'the number of its patterns',
      { patternProperties: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`a${n}`, {}])) },
    ],
    [
      'the number of its references',
      { allOf: Array.from({ length: 101 }, () => ({ $ref: '#/$defs/a' })), $defs: { a: {} } },
    ],
  ])('%s', (_what, schema) => {
    expect(checkSchema(schema)[0]?.detail).toContain('at most')
  })

  test('one that was stored all the same finds fault with everything', () => {
    expect(pointers({ $ref: 'https://example.com/a' }, {})).toEqual([''])
  })
})

describe('no schema can hang', () => {
  const doubled = Object.fromEntries([
    ...Array.from({ length: 40 }, (_, n) => [`a${n}`, { allOf: [1, 2].map(() => ({ $ref: `#/$defs/a${n + 1}` })) }]),
    ['a40', { type: 'object' }],
  ])
  const nest = Array.from({ length: 25 }).reduce<Properties>((inner) => ({ kids: [inner] }), {})
  test.each<[string, Properties, Properties]>([
    ['a pattern that backtracks for ever', of({ pattern: '^(a+)+$' }), { it: `${'a'.repeat(200_000)}!` }],
    ['references that double forty times', { $ref: '#/$defs/a0', $defs: doubled }, {}],
    [
      'a tree that doubles at each level',
      { properties: { kids: { items: { allOf: [{ $ref: '#' }, { $ref: '#' }] } } } },
      nest,
    ],
    [
      'a long choice for each of many items',
      of({ items: { anyOf: Array.from({ length: 300 }, (_, n) => ({ const: n })) } }),
      { it: Array(60_000).fill('x') },
    ],
    [
      'unique items that are many',
      of({ uniqueItems: true }),
      { it: Array.from({ length: 60_000 }, (_, n) => ({ n })) },
    ],
    ['as many errors as items', of({ items: { type: 'string' } }), { it: Array(100_000).fill(1) }],
  ])('%s', async (_what, schema, properties) => {
    expect(checkSchema(schema)).toEqual([])
    const compiled = compileSchema(schema)
    const spent = await spentMs(() =>
      expect(compiled.problems(properties, new Budget())).toEqual([
        { pointer: '', detail: 'takes too many steps to be checked' },
      ]),
    )
    expect(spent).toBeLessThan(1000)
  })

  test('a pattern is not run on the names that a schema declares beside it', async () => {
    const schema = { properties: { [`${'a'.repeat(40)}!`]: {} }, patternProperties: { '^(a+)+$': {} } }
    expect(await spentMs(() => expect(checkSchema(schema)).toEqual([]))).toBeLessThan(1000)
  })

  test('the largest schema that is taken compiles in bounded time', async () => {
    const properties = Object.fromEntries(Array.from({ length: 490 }, (_, n) => [`p${n}`, { type: 'string' }]))
    expect(await spentMs(() => expect(checkSchema({ properties })).toEqual([]))).toBeLessThan(2000)
  })
})

test('one tenant’s schema says nothing to another’s, whatever ids stand in its values', () => {
  const mine = of({ const: { $id: 'shared', type: 'string' } })
  const theirs = of({ const: { $id: 'shared', type: 'number' } })
  expect([checkSchema(mine), checkSchema(theirs)]).toEqual([[], []])
})

describe('held against Ajv as it comes', () => {
  const values = fc.jsonValue({ maxDepth: 3 })
  const leaf = fc.constantFrom<Properties>(
    {},
    { type: 'string' },
    { type: ['number', 'null'] },
    { minimum: 0 },
    { maxLength: 2 },
    { pattern: '^[a-c]*$' },
    { const: null },
    { enum: [1, 'a', [], {}] },
    { maxItems: 1 },
    { minProperties: 1 },
    { required: ['a'] },
  )
  const { schema } = fc.letrec<{ schema: Properties }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 2 },
      leaf,
      fc.record({ properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('schema')) }),
      fc.record({ properties: fc.record({ a: tie('schema') }), additionalProperties: fc.constant(false) }),
      fc.record({ items: tie('schema'), uniqueItems: fc.boolean() }),
      fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ not: tie('schema') }),
      fc.tuple(tie('schema'), tie('schema')).map(([one, other]) => ({ if: one, else: other })),
      fc.record({ patternProperties: fc.record({ '^[ab]': tie('schema') }) }),
      fc.record({ propertyNames: tie('schema') }),
      // Without the limit Ajv takes, of an empty list, what it has found of the list before: see below.
      fc.record({ contains: tie('schema'), maxContains: fc.constant(99) }),
    ),
  }))
  const properties = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), values)

  test('a schema finds properties good exactly where Ajv does', () => {
    fc.assert(
      fc.property(schema, fc.array(properties, { maxLength: 4 }), (made, all) => {
        const plain = new Ajv2020({
          strict: false,
          ownProperties: true,
          logger: false,
          meta: false,
          validateSchema: false,
        }).compile(made)
        const ours = compileSchema(made)
        for (const one of all) expect(ours.problems(one, new Budget()).length === 0).toBe(plain(one))
      }),
      { numRuns: 150 },
    )
  })

  test.each([
    ['of whatever', {}, 'x'],
    ['of texts', { type: 'string' }, 'x'],
    ['of more than one', { type: 'string', minLength: 1 }, 'x'],
  ])('a list that must contain something %s is not good for the list before it', (_what, contains, item) => {
    const lists = compileSchema(of({ items: { contains } }))
    const found = (it: unknown) => lists.problems({ it }, new Budget())
    expect(found([[item], [item, 1]])).toEqual([])
    for (const it of [[[item], []], [[], [item]], [[]]])
      expect(found(it)).toEqual([
        {
          pointer: `/it/${it.findIndex((list) => list.length === 0)}`,
          detail: 'must contain at least 1 valid item(s)',
        },
      ])
  })

  test('items are unique exactly where no two are equal', () => {
    const unique = compileSchema(of({ uniqueItems: true }))
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 6 }), (items) => {
        const twice = items.some((one, at) =>
          items.some((other, place) => place < at && isDeepStrictEqual(normal(one), normal(other))),
        )
        expect(unique.problems({ it: items }, new Budget()).length > 0).toBe(twice)
      }),
      { numRuns: 500 },
    )
  })

  // JSON has one zero.
  function normal(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value))
  }
})
