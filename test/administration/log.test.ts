import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBundle } from '../../src/administration/bundle.ts'
import { Failure } from '../../src/failure.ts'
import type { Rule } from '../../src/policy/model.ts'
import { listChanges } from '../../src/store/changes.ts'
import { type Bench, by, openBench, operator } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

type Step = (tenant: string) => Promise<unknown>

const NAMES = ['a', 'b', 'c', 'd'] as const
const name = fc.constantFrom(...NAMES)
const names = fc.uniqueArray(name, { maxLength: 2 })
const ref = fc.record({ type: fc.constantFrom('user', 'group'), id: name })

const writing = (tenant: string) => by({ tenant, caller: { ...by().caller, tenant } })

const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc
      .record({ name, inherits: names })
      .map((role) => (tenant) => bench.administration.roles.put(writing(tenant), role)),
    name.map((role) => (tenant) => bench.administration.roles.delete(writing(tenant), role)),
    fc
      .record({ name: fc.constantFrom('user', 'group', 'doc'), stored: fc.constantFrom('maybe', 'never') })
      .map((type) => (tenant) => bench.administration.types.put(writing(tenant), type)),
    fc
      .constantFrom('user', 'group', 'doc')
      .map((type) => (tenant) => bench.administration.types.delete(writing(tenant), type)),
    fc
      .record({ name, required: fc.boolean() })
      .map((policy) => (tenant) => bench.administration.policies.put(writing(tenant), policy)),
    name.map((policy) => (tenant) => bench.administration.policies.delete(writing(tenant), policy)),
    fc.tuple(name, name, name, ref).map(
      ([rule, role, policy, subject]) =>
        (tenant) =>
          bench.administration.rules.put(writing(tenant), {
            name: rule,
            policy: policy === 'd' ? 'default' : policy,
            effect: 'allow',
            subjects: [{ role }, subject],
            actions: ['x'],
            resources: [{ type: 'doc', within: subject }],
          } satisfies Rule),
    ),
    name.map((rule) => (tenant) => bench.administration.rules.delete(writing(tenant), rule)),
    fc.tuple(ref, fc.uniqueArray(ref, { maxLength: 2, selector: ({ type, id }) => type + id })).map(
      ([entity, parents]) =>
        (tenant) =>
          bench.administration.entities.put(writing(tenant), { ...entity, parents }),
    ),
    ref.map((entity) => (tenant) => bench.administration.entities.delete(writing(tenant), entity)),
    fc
      .array(ref, { maxLength: 3 })
      .map((entities) => (tenant) => bench.administration.entities.bulk(writing(tenant), lines(entities))),
    fc.tuple(ref, name, fc.option(ref, { nil: undefined })).map(
      ([subject, role, within]) =>
        (tenant) =>
          bench.administration.assignments.create(writing(tenant), {
            subject,
            role,
            ...(within === undefined ? {} : { within }),
          }),
    ),
    ref.map((subject) => (tenant) => bench.administration.api_keys.create(writing(tenant), { name: 'key', subject })),
    fc
      .record(
        {
          roles: fc.uniqueArray(fc.record({ name, inherits: names }), { selector: (one) => one.name, minLength: 2 }),
          entities: fc.uniqueArray(ref, { selector: ({ type, id }) => type + id }),
          assignments: fc.uniqueArray(fc.record({ subject: ref, role: name, reason: name }), {
            selector: ({ subject, role }) => subject.type + subject.id + role,
          }),
        },
        { requiredKeys: [] },
      )
      .map(
        (sections) => (tenant) =>
          bench.administration.bundle.apply(writing(tenant), readBundle({ verdict: 1, ...sections })),
      ),
    fc.boolean().map((on) => (tenant) => bench.administration.settings.put(writing(tenant), { rules_in_answers: on })),
  ),
  { minLength: 5, maxLength: 40 },
)

async function* lines(entities: readonly { type: string; id: string }[]) {
  for (const [place, entity] of entities.entries()) yield { line: place + 1, entity }
}

/** What the log makes of an empty tenant: for each thing its document and the revision that wrote it. */
async function replayed(tenant: string) {
  const state = new Map<string, { document: unknown; version: number }>()
  const { items } = await listChanges(bench.db, tenant, 0, { limit: 1000 })
  let last = 0
  for (const { revision, kind, key, operation, before, after } of items) {
    expect(revision - last).toBeLessThanOrEqual(1)
    last = revision
    const place = JSON.stringify([kind, key])
    expect(before).toEqual(state.get(place)?.document ?? null)
    expect(operation).toBe(before === null ? 'create' : after === null ? 'delete' : 'update')
    if (after === null) state.delete(place)
    else state.set(place, { document: after, version: revision })
  }
  return { state, last }
}

/** What is stored, in the same form. */
async function stored(tenant: string) {
  const { rows } = await sql<{
    kind: string
    key: Record<string, string> | null
    document: unknown
    version: number | null
  }>`
    select 'settings' as kind, null::jsonb as key, body as document, version from settings where tenant_id = ${tenant}
    union all select 'type', jsonb_build_object('name', name), body, version from types where tenant_id = ${tenant}
    union all select 'role', jsonb_build_object('name', name), body, version from roles where tenant_id = ${tenant}
    union all select 'policy', jsonb_build_object('name', name), body, version from policies where tenant_id = ${tenant}
    union all select 'rule', jsonb_build_object('name', name), body, version from rules where tenant_id = ${tenant}`.execute(
    bench.db,
  )
  const state = new Map(
    rows.map(({ kind, key, document, version }) => [JSON.stringify([kind, key]), { document, version }]),
  )
  const read = { tenant }
  const page = { limit: 1000 }
  for (const { version, created_at, updated_at, ...document } of (
    await bench.administration.entities.list(read, {}, page)
  ).items) {
    state.set(JSON.stringify(['entity', { id: document.id, type: document.type }]), { document, version })
  }
  for (const { created_at, ...document } of (await bench.administration.assignments.list(read, {}, page)).items) {
    state.set(JSON.stringify(['assignment', { id: document.id }]), { document, version: null })
  }
  for (const { version, created_at, updated_at, last_used_at, ...document } of (
    await bench.administration.api_keys.list(read, {}, page)
  ).items) {
    state.set(JSON.stringify(['api_key', { id: document.id }]), { document, version })
  }
  return state
}

/** Edges and references that no document has, and those of documents that are missing. */
async function astray(tenant: string): Promise<unknown[]> {
  const { rows } = await sql`
    with wanted as (
      select 'edge' as what, name as one, jsonb_array_elements_text(body->'inherits') as other from roles where tenant_id = ${tenant}
      union select 'role', name, subject->>'role' from rules, jsonb_array_elements(body->'subjects') subject
        where tenant_id = ${tenant} and subject ? 'role'
      union select 'subject', name, jsonb_build_array(subject->'type', subject->'id')::text
        from rules, jsonb_array_elements(body->'subjects') subject where tenant_id = ${tenant} and subject ? 'id'
      union select 'within', name, jsonb_build_array(resource->'within'->'type', resource->'within'->'id')::text
        from rules, jsonb_array_elements(body->'resources') resource where tenant_id = ${tenant}
    ), kept as (
      select 'edge', role, base from role_edges where tenant_id = ${tenant}
      union select 'role', owner, id from policy_references where tenant_id = ${tenant} and kind = 'role'
      union select kind, owner, jsonb_build_array(type, id)::text from policy_references where tenant_id = ${tenant} and kind <> 'role'
    )
    (select 'missing', * from wanted except select 'missing', * from kept)
    union all (select 'left over', * from kept except select 'left over', * from wanted)`.execute(bench.db)
  return rows
}

test('from the change log alone, what is stored can be rebuilt, whatever was written', async () => {
  let tenants = 0
  let done = 0
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const tenant = `t${tenants++}`
      await bench.administration.tenants.create(operator(), { id: tenant, name: tenant })
      // Something to name, or nearly every rule and role would be refused.
      for (const each of NAMES) {
        await bench.administration.roles.put(writing(tenant), { name: each })
        await bench.administration.policies.put(writing(tenant), { name: each })
      }
      for (const step of sequence) {
        try {
          await step(tenant)
          done++
        } catch (error) {
          if (!(error instanceof Failure) || error.code === 'internal') throw error
        }
      }
      const { state, last } = await replayed(tenant)
      const now = await stored(tenant)
      expect([...now.keys()].sort()).toEqual([...state.keys()].sort())
      for (const [place, { document, version }] of now) {
        expect(document).toEqual(state.get(place)?.document)
        if (version !== null) expect(version).toBe(state.get(place)?.version)
      }
      const { rows } = await sql<{ revision: number }>`select revision from tenants where id = ${tenant}`.execute(
        bench.db,
      )
      expect(rows[0]?.revision).toBe(last)
      expect(await astray(tenant)).toEqual([])
    }),
    { numRuns: 25, seed: 7 },
  )
  expect(done).toBeGreaterThan(200)
})
