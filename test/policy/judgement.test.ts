import { describe, expect, test } from 'vitest'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import { judgeRequest } from '../../src/policy/judgement.ts'
import type { AccessRequest, Bundle, EntityType, Properties, Settings } from '../../src/policy/model.ts'
import { parseBundle } from '../../src/policy/parse.ts'

const DOCUMENT: EntityType = {
  name: 'document',
  protected_properties: ['owner'],
  schema: {
    properties: { owner: { type: 'string' }, level: { type: 'integer' }, 'a/b': { type: 'string' } },
    required: ['owner', 'level'],
  },
}

function judge(
  stored: Properties | undefined,
  sent: Properties | undefined,
  more: Partial<EntityType> = {},
  settings: Settings = {},
) {
  const bundle: Bundle = {
    verdict: 1,
    settings,
    types: [{ ...DOCUMENT, ...more }],
    entities: stored === undefined ? [] : [{ type: 'document', id: 'd', properties: stored }],
  }
  const { index, lookup } = loadBundle(bundle)
  const request: AccessRequest = {
    subject: { type: 'user', id: 'u', properties: { anything: 1 } },
    action: { name: 'read' },
    resource: sent === undefined ? { type: 'document', id: 'd' } : { type: 'document', id: 'd', properties: sent },
  }
  const { problems, warnings } = judgeRequest(index, factsFor(lookup, request), request)
  return { problems: problems.map(({ pointer }) => pointer), warnings: warnings.map(({ pointer }) => pointer) }
}

const refused = (...pointers: string[]) => ({
  problems: pointers.map((one) => `/resource/properties${one}`),
  warnings: [],
})
const CLEAN = refused()

describe('the properties of a request', () => {
  test('are judged together with the stored ones that they are laid over', () => {
    expect(judge({ owner: 'ann', level: 1 }, { level: 2 })).toEqual(CLEAN)
    expect(judge({ owner: 'ann', level: 1 }, { level: 'high' })).toEqual(refused('/level'))
    expect(judge(undefined, { 'a/b': 1, level: 1 })).toEqual(refused('/a~1b'))
  })

  test('that are missing from both are missing', () => {
    expect(judge(undefined, {})).toEqual(refused('/level'))
  })

  test('are not judged where there are none', () => {
    expect(judge(undefined, undefined)).toEqual(CLEAN)
  })

  test('do not answer for what is stored', () => {
    expect(judge({ owner: 'ann', level: 'high' }, { 'a/b': 'x' })).toEqual(CLEAN)
    expect(judge({ owner: 'ann', level: 'high' }, { level: 'higher' })).toEqual(refused('/level'))
  })

  test('do not answer for a protected one, sent or missing', () => {
    expect(judge(undefined, { owner: 5, level: 1 })).toEqual(CLEAN)
    expect(judge({ owner: 5 }, { level: 1 })).toEqual(CLEAN)
  })

  test('that lie under the stored ones are not used, and so not judged', () => {
    const stored = { attribute_precedence: 'stored' } as const
    expect(judge({ owner: 'ann', level: 1 }, { level: 'high' }, {}, stored)).toEqual(CLEAN)
    expect(judge({ owner: 'ann' }, { level: 'high' }, {}, stored)).toEqual(refused('/level'))
    expect(judge({ owner: 'ann', level: 'high' }, { level: 2 }, {}, stored)).toEqual(CLEAN)
  })

  test('are warned of where their type says so', () => {
    expect(judge(undefined, { level: 'high' }, { on_invalid: 'warn' })).toEqual({
      problems: [],
      warnings: ['/resource/properties/level'],
    })
  })
})

test('a bundle whose entities do not fit its types is refused with their places, unless the types only warn', () => {
  const bundle = (type: object) => ({
    verdict: 1,
    types: [{ ...DOCUMENT, ...type }],
    entities: [
      { type: 'document', id: 'a', properties: { owner: 'ann', level: 1 } },
      { type: 'document', id: 'b', properties: { level: 'high' } },
      { type: 'document', id: 'c' },
    ],
  })
  const parsed = parseBundle(bundle({}))
  expect('problems' in parsed && parsed.problems.map(({ pointer }) => pointer)).toEqual([
    '/entities/1/properties/owner',
    '/entities/1/properties/level',
    '/entities/2/properties/owner',
    '/entities/2/properties/level',
  ])
  expect(parseBundle(bundle({ on_invalid: 'warn' }))).toHaveProperty('bundle')
})

test('a type in a bundle is refused with the place in its schema', () => {
  const parsed = parseBundle({
    verdict: 1,
    types: [{ name: 'a' }, { name: 'b', schema: { typ: 'object' } }, { name: '*' }],
  })
  expect('problems' in parsed && parsed.problems.map(({ pointer }) => pointer)).toEqual([
    '/types/1/schema/typ',
    '/types/2/name',
  ])
})
