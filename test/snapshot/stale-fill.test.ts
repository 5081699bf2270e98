import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GivenAssignment } from '../../src/policy/change.ts'
import type { Facts } from '../../src/policy/entity-graph.ts'
import type { EntityRef } from '../../src/policy/model.ts'
import { Slices } from '../../src/snapshot/slices.ts'
import type { TenantSnapshot } from '../../src/snapshot/tenant-snapshot.ts'
import {
  assigned,
  assignment,
  doc,
  entity,
  FakeDatabase,
  group,
  noAssignment,
  noEntity,
  noRule,
  over,
  rule,
  user,
} from './support.ts'

const SUBJECTS = [user('a'), user('b')]
const GROUPS = [group('g'), group('h')]
const ref = (...refs: EntityRef[]) => fc.constantFrom(...refs)

/** One write of each kind that facts are made of. */
const write = fc.oneof(
  fc.record({ do: fc.constant('put' as const), what: ref(...SUBJECTS), into: fc.subarray(GROUPS), level: fc.nat(9) }),
  fc.record({
    do: fc.constant('put' as const),
    what: ref(group('g')),
    into: fc.subarray([group('h')]),
    level: fc.nat(9),
  }),
  fc.record({ do: fc.constant('remove' as const), what: ref(...SUBJECTS, ...GROUPS) }),
  fc.record({ do: fc.constant('assign' as const), what: ref(...SUBJECTS, ...GROUPS), role: fc.constantFrom('x', 'y') }),
  fc.record({ do: fc.constant('revoke' as const) }),
  // Of several changes: with few made in place, these are made beside what decides.
  fc.record({ do: fc.constant('rules' as const), names: fc.subarray(['p', 'q', 'r', 's'], { minLength: 1 }) }),
  fc.record({ do: fc.constant('bundle' as const), names: fc.subarray(['p', 'q', 'r', 's']), level: fc.nat(9) }),
)
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never

/** What goes on at the same time, one thing after the other each. */
const actor = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constant('write' as const), writes: fc.array(write, { maxLength: 8 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constant('decide' as const),
      subject: ref(...SUBJECTS),
      resource: ref(doc('1'), user('b'), user('other 1')),
      times: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('poll' as const), times: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('restore' as const), back: fc.integer({ min: 1, max: 3 }) }) },
)

type Actor = typeof actor extends fc.Arbitrary<infer T> ? T : never

function perform(database: FakeDatabase, given: GivenAssignment[], { do: verb, ...rest }: Write): void {
  const tenant = database.tenant('t')
  if (verb === 'bundle' && 'names' in rest && 'level' in rest) {
    const properties = { level: rest.level }
    const made = assigned(user('b'), 'z')
    given.push(made)
    tenant.write(
      ...rest.names.map((name) => rule(name)),
      entity(user('a'), [group('h')], { properties }),
      entity(user('b'), [], { properties }),
      assignment(made),
    )
  } else if (verb === 'rules' && 'names' in rest) {
    const has = tenant.rules(tenant.revision_id)
    tenant.write(...rest.names.map((name) => (has.has(name) ? noRule(name) : rule(name))))
  } else if ('into' in rest) tenant.write(entity(rest.what, rest.into, { properties: { level: rest.level } }))
  else if ('role' in rest) {
    const made = assigned(rest.what, rest.role)
    given.push(made)
    tenant.write(assignment(made))
  } else if (verb === 'revoke') {
    const gone = given.pop()
    if (gone !== undefined) tenant.write(noAssignment(gone))
  } else if ('what' in rest) {
    const { type, id } = rest.what
    const around = given.filter(({ subject }) => subject.type === type && subject.id === id)
    for (const gone of around) given.splice(given.indexOf(gone), 1)
    tenant.write(...around.map(noAssignment), noEntity(rest.what))
  }
}

/** Some entities more than those that it is about, so that a tenant may be too large to be held whole. */
const OTHERS = Array.from({ length: 10 }, (_, place) => entity(user(`other ${place}`)))

test.each([
  [0, 1000],
  [6, 1000],
  [11, 1],
  [14, 1000],
  [1000, 1000],
  [0, 1],
  [6, 2],
  [14, 1],
  [1000, 1],
])(
  'with room for %i entities and %i changes in one turn, no decision sees facts of another revision',
  async (entities, inPlace) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(actor, { minLength: 3, maxLength: 12 }), async (scheduler, actors) => {
        const database = new FakeDatabase()
        const truth = database.tenant('t')
        truth.write(entity(user('a'), [group('g')]), entity(group('g'), [group('h')]), ...OTHERS)
        const snapshots = over(database, { entities, inPlace, slices: new Slices(0) })
        await snapshots.tenant('t')
        // From here on, statements are read and answered in any order, between any two steps.
        database.pace = (statement) => scheduler.schedule(Promise.resolve(), statement)
        const turn = (what: string) => scheduler.schedule(Promise.resolve(), what)
        const given: GivenAssignment[] = []

        async function act(actor: Actor): Promise<void> {
          if (actor.does === 'write') {
            for (const each of actor.writes) {
              await turn('write')
              perform(database, given, each)
            }
          } else if (actor.does === 'restore') {
            await turn('restore')
            truth.restore(Math.max(1, truth.revision - actor.back))
          } else {
            for (let time = 0; time < actor.times; time++) {
              await turn(actor.does)
              if (actor.does === 'poll') await snapshots.poll()
              else await snapshots.withFacts('t', actor, check)
            }
          }
        }

        function check(tenant: TenantSnapshot, { subject, resource }: Facts): void {
          expect(subject).toEqual(truth.facts(tenant.revision_id, subject))
          expect(resource).toEqual(truth.facts(tenant.revision_id, resource))
          expect(tenant.index.size).toBe(truth.rules(tenant.revision_id).size)
        }

        await scheduler.waitFor(Promise.all(actors.map(act)))
      }),
      { numRuns: Number(process.env['VERDICT_TEST_HISTORIES'] ?? 100) },
    )
  },
)
