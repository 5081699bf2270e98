import { expect, test } from 'vitest'
import type { PolicyChange } from '../../src/policy/change.ts'
import { CLEAR } from '../../src/policy/condition-trace.ts'
import { decide } from '../../src/policy/decide.ts'
import { type EntityFacts, type EntityNode, gatherFacts } from '../../src/policy/entity-graph.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Assignment, Bundle, Entity, EntityRef } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { WholeTenant } from '../../src/snapshot/entity-cache.ts'
import { follow } from '../../src/snapshot/entity-node.ts'
import { KeptFacts } from '../../src/snapshot/kept-facts.ts'
import { Dice } from '../policy/dice.ts'
import { naiveDecide } from '../policy/naive.ts'
import { type Edit, edited, randomEdit, SMALL } from '../policy/random-case.ts'
import { CONDITIONS } from '../policy/random-meanings.ts'
import { RandomPolicy } from '../policy/random-policy.ts'
import { ask } from '../policy/random-question.ts'
import { INSTANTS, NAMES, SUBJECT_TYPES } from '../policy/universe.ts'

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 200)
const WRITES = 12
const NOW = Date.parse('2030-01-01T00:00:00Z')
const TIMES = [NOW, ...INSTANTS.map((text) => Date.parse(text))].flatMap((at) => [at - 1, at, at + 1])

/** A tenant in memory as it goes from write to write, with the documents beside it, from which all can be made anew. */
class World {
  bundle: Bundle
  readonly index: PolicyIndex
  readonly #nodes = new WholeTenant(() => {})
  readonly #kept: KeptFacts
  readonly #assignments = new Map<string, Assignment>()
  #given = 0

  constructor(bundle: Bundle, dice: Dice) {
    const limits = dice.one(SMALL)
    const { entities = [], assignments = [], ...policy } = bundle
    this.bundle = { ...policy, entities: [], assignments: [] }
    this.index = loadBundle(policy, new PolicyIndex((any) => new RuleIndex(any, limits))).index
    // So few are kept that what is forgotten is asked for again.
    this.#kept = new KeptFacts(dice.chance(2) ? 3 : 100)
    for (const entity of entities) this.putEntity(entity, entity)
    for (const assignment of assignments) this.assign(assignment)
    if (dice.chance(2)) this.#assignMany()
  }

  /** Roles that nothing names, so many that what they come to goes with the list from write to write. */
  #assignMany(): void {
    for (const type of SUBJECT_TYPES) {
      for (const id of NAMES) for (let at = 0; at < 17; at++) this.assign({ subject: { type, id }, role: `other${at}` })
    }
  }

  edit(change: Edit): void {
    this.bundle = edited({ bundle: this.bundle, edits: [change] })
    this.index.apply(change)
  }

  putEntity({ type, id }: EntityRef, after: Entity | null): void {
    const others = (this.bundle.entities ?? []).filter((one) => one.type !== type || one.id !== id)
    this.bundle = { ...this.bundle, entities: after === null ? others : [...others, after] }
    if (after === null) {
      for (const [key, { subject }] of [...this.#assignments])
        if (subject.type === type && subject.id === id) this.revoke(key)
    }
    this.#follow({ kind: 'entity', key: { type, id }, operation: 'update', before: null, after })
  }

  assign(assignment: Assignment): void {
    const id = `given ${this.#given++}`
    this.#assignments.set(id, assignment)
    const after = { ...assignment, id, granted_by: { type: 'user', id: 'admin' } }
    this.#takeAssignments({ kind: 'assignment', key: { id }, operation: 'create', before: null, after })
  }

  revoke(id: string): void {
    const assignment = this.#assignments.get(id)
    if (assignment === undefined) return
    this.#assignments.delete(id)
    const before = { ...assignment, id, granted_by: { type: 'user', id: 'admin' } }
    this.#takeAssignments({ kind: 'assignment', key: { id }, operation: 'delete', before, after: null })
  }

  get assigned(): readonly string[] {
    return [...this.#assignments.keys()]
  }

  /** As a tenant has them: kept from question to question, over all writes. */
  facts(ref: EntityRef): EntityFacts {
    const node = this.#nodes.get(ref.type, ref.id)
    const kept = this.#kept.get(node, this.lookup)
    if (kept !== undefined) return kept
    const above: EntityNode[] = []
    const facts = gatherFacts(this.lookup, ref, [], above)
    this.#kept.set(node, facts, above)
    return facts
  }

  readonly lookup = (type: string, id: string): EntityNode => this.#nodes.get(type, id)

  #takeAssignments(change: PolicyChange): void {
    this.bundle = { ...this.bundle, assignments: [...this.#assignments.values()] }
    this.#follow(change)
  }

  #follow(change: PolicyChange): void {
    follow(this.#nodes, change)
    this.#kept.doubt()
  }
}

function write(world: World, dice: Dice, random: RandomPolicy): void {
  const which = dice.below(10)
  if (which < 3) world.edit(randomEdit(dice, random))
  else if (which < 5) {
    const role = random.role()
    // What is written never closes a cycle; what is stored may, and puts its roles in doubt.
    const inherits = [...(role.inherits ?? []), random.role().name]
    const after = dice.chance(4) ? null : dice.chance(6) ? { ...role, inherits } : role
    // At times so many that nobody goes through all of them.
    const times = dice.chance(12) ? 150 : 1
    for (let time = 0; time < times; time++)
      world.edit({ kind: 'role', key: { name: role.name }, operation: 'update', before: null, after })
  } else if (which < 7) {
    const entity = random.entity()
    world.putEntity(entity, dice.chance(4) ? null : entity)
  } else if (which < 9 || world.assigned.length === 0) {
    for (const assignment of dice.some(3, () => random.assignment(), 1)) world.assign(assignment)
  } else world.revoke(world.assigned[dice.below(world.assigned.length)] ?? '')
}

function question(world: World, dice: Dice): { readonly request: AccessRequest; readonly now: number } {
  const { request } = ask(dice, world.bundle)
  return { request, now: dice.one([NOW, ...TIMES]) }
}

test(`after any writes, what is kept with facts decides as what is made anew, and as the reference (${COUNT} tenants)`, {
  timeout: 600_000,
}, () => {
  for (let seed = 1; seed <= COUNT; seed++) {
    const dice = new Dice(seed * 7919)
    const random = new RandomPolicy(dice)
    const world = new World(random.bundle(), dice)
    const asked = Array.from({ length: 4 }, () => question(world, dice))
    for (let count = 0; count < WRITES; count++) {
      const { index: anew, lookup } = loadBundle(world.bundle)
      const isDoubtful = anew.shared.roles.doubted.size > 0
      for (const { request, now } of [...asked, question(world, dice)]) {
        const facts = { subject: world.facts(request.subject), resource: world.facts(request.resource) }
        const at = dice.chance(3) ? dice.one([now, ...TIMES]) : now
        const wanted = decide(anew, factsFor(lookup, request), request, at)
        const told = `seed ${seed}, after ${count} writes`
        if (!isDoubtful) expect(wanted, told).toEqual(naiveDecide(world.bundle, CONDITIONS, request, at))
        expect(decide(world.index, facts, request, at), told).toEqual(wanted)
        const gathered = gatherFacts(world.lookup, request.subject, [])
        expect({ ...facts.subject, asSubject: undefined, asResource: undefined }, told).toEqual(gathered)
        if (dice.chance(4))
          expect(explain(world.index, facts, request, at, world.lookup, CLEAR).decision, told).toEqual(wanted)
      }
      for (let more = dice.below(3); more >= 0; more--) write(world, dice, random)
    }
  }
})
