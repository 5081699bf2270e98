import { expect, test } from 'vitest'
import { type EntityNode, gatherFacts, isWithin, unknownEntity } from '../../src/policy/entity-graph.ts'
import type { EntityRef } from '../../src/policy/model.ts'

const ref = (id: string): EntityRef => ({ type: 'group', id })

function node(id: string, parents: string[], roles: string[] = []): EntityNode {
  const assignments = roles.map((role) => ({ id: role, subject: ref(id), role, granted_by: ref('admin') }))
  return { ...unknownEntity('group', id), known: true, parents: parents.map(ref), assignments }
}

const among = (nodes: EntityNode[]) => (_type: string, id: string) => nodes.find((one) => one.id === id)

test('facts hold every ancestor once, and the assignments of the entity and of each', () => {
  const nodes = [node('a', ['b', 'c'], ['r1']), node('b', ['d'], ['r2']), node('c', ['d']), node('d', [], ['r3'])]
  const missing: EntityRef[] = []
  const facts = gatherFacts(among(nodes), ref('a'), missing)
  expect(facts.ancestors).toEqual([ref('b'), ref('c'), ref('d')])
  expect(facts.given.flat().map(({ role }) => role)).toEqual(['r1', 'r2', 'r3'])
  expect(missing).toEqual([])
})

test('a cycle of parents ends where it closes, and nothing is its own ancestor', () => {
  const nodes = [node('a', ['b']), node('b', ['c']), node('c', ['a', 'b', 'c'])]
  expect(gatherFacts(among(nodes), ref('a'), []).ancestors).toEqual([ref('b'), ref('c')])
})

test('what is not in memory is named, wherever it stands', () => {
  const missing: EntityRef[] = []
  gatherFacts(among([node('a', ['b', 'x']), node('b', ['y'])]), ref('a'), missing)
  gatherFacts(among([]), ref('z'), missing)
  expect(missing).toEqual([ref('x'), ref('y'), ref('z')])
})

test('type and id are told apart, whatever stands in them', () => {
  const nodes = [node('a', []), { ...unknownEntity('g', 'roupa'), known: true }]
  const child = { ...node('c', []), parents: [ref('a'), { type: 'g', id: 'roupa' }] }
  const facts = gatherFacts(
    (type, id) => [...nodes, child].find((one) => one.type === type && one.id === id),
    ref('c'),
    [],
  )
  expect(facts.ancestors).toHaveLength(2)
})

test.each([3, 100])(
  'with %i ancestors, an entity is within each of them and itself, and within nothing else',
  (count) => {
    const chain = Array.from({ length: count + 1 }, (_, at) => node(`${at}`, at < count ? [`${at + 1}`] : []))
    const facts = gatherFacts(among(chain), ref('0'), [])
    expect(facts.ancestors).toHaveLength(count)
    for (const { id } of chain) expect(isWithin(facts, ref(id))).toBe(true)
    expect(isWithin(facts, ref('other'))).toBe(false)
    expect(isWithin(facts, { type: 'user', id: '1' })).toBe(false)
  },
)

test('a thousand groups of a thousand edges each are gathered in linear time', () => {
  const ids = Array.from({ length: 1000 }, (_, at) => `${at}`)
  const nodes = new Map(ids.map((id) => [id, node(id, ids)]))
  const began = process.cpuUsage()
  expect(gatherFacts((_type, id) => nodes.get(id), ref('0'), []).ancestors).toHaveLength(999)
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(1000)
})
