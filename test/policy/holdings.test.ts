import { expect, test } from 'vitest'
import type { GivenAssignment } from '../../src/policy/change.ts'
import { decide } from '../../src/policy/decide.ts'
import { type EntityNode, gatherFacts, unknownEntity } from '../../src/policy/entity-graph.ts'
import { succeeds } from '../../src/policy/holdings.ts'
import { loadBundle } from '../../src/policy/in-memory.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const ANN = { type: 'user', id: 'ann' }
const REQUEST = { subject: ANN, action: { name: 'read' }, resource: { type: 'doc', id: 'x' } }
const ROLES = ['reader', ...Array.from({ length: 20 }, (_, at) => `other${at}`)]
const RULE = {
  name: 'readers',
  effect: 'allow' as const,
  subjects: [{ role: 'reader' }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
}

const given = (role: string): GivenAssignment => ({ id: role, subject: ANN, role, granted_by: ANN })

function asks(assignments: readonly GivenAssignment[]) {
  const node: EntityNode = { ...unknownEntity('user', 'ann'), assignments }
  const lookup = (type: string, id: string) => (type === 'user' ? node : unknownEntity(type, id))
  return { subject: gatherFacts(lookup, ANN, []), resource: gatherFacts(lookup, REQUEST.resource, []) }
}

test('what many assignments come to goes over to the list that a write has made of them', () => {
  const { index } = loadBundle({ verdict: 1, rules: [RULE] })
  const all = ROLES.map(given)
  const holding = index.holdings.of(all, NOW)
  let list = all
  // As many writes as there may be between two questions.
  for (const role of ROLES.slice(1, 4)) {
    const less = list.filter((one) => one.role !== role)
    succeeds(less, list)
    list = less
  }
  expect(index.holdings.of(list, NOW)).toBe(holding)
  expect(holding.roles.names).toEqual(list.map(({ role }) => role).sort())
})

test('facts from before a write are decided by as they were, whatever has become of the list', () => {
  const { index } = loadBundle({ verdict: 1, rules: [RULE] })
  const before = ROLES.map(given)
  const after = before.filter(({ role }) => role !== 'reader')
  const [then, now] = [asks(before), asks(after)]
  expect(decide(index, then, REQUEST, NOW).decision).toBe(true)
  succeeds(after, before)
  expect(decide(index, now, REQUEST, NOW).decision).toBe(false)
  expect(decide(index, then, REQUEST, NOW).decision).toBe(true)
  expect(decide(index, now, REQUEST, NOW).decision).toBe(false)
})
