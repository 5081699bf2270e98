import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Bundle } from '../../src/policy/model.ts'
import { type Bench, by, FIRST_PAGE, openBench, refusal } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

const BUNDLE: Bundle = {
  verdict: 1,
  settings: { audit_mode: 'commit' },
  types: [
    { name: 'document', protected_properties: ['owner'] },
    { name: 'session', stored: 'never' },
  ],
  policies: [{ name: 'acl', required: true }],
  roles: [{ name: 'editor', inherits: ['viewer'] }, { name: 'viewer' }],
  rules: [
    {
      name: 'r',
      policy: 'acl',
      effect: 'allow',
      subjects: [{ role: 'editor' }],
      actions: ['*'],
      resources: [{ type: 'document' }],
    },
  ],
  entities: [
    { type: 'user', id: 'alice', parents: [{ type: 'group', id: 'eng' }] },
    { type: 'group', id: 'eng' },
  ],
  assignments: [{ subject: { type: 'user', id: 'alice' }, role: 'editor' }],
}

test('a bundle with problems writes nothing and names all of them', async () => {
  const broken: Bundle = {
    ...BUNDLE,
    types: [...(BUNDLE.types ?? []), { name: 'group', schema: { required: ['name'] } }],
    roles: [{ name: 'a', inherits: ['b'] }, { name: 'b', inherits: ['a', 'gone'] }, { name: 'b' }],
    rules: [{ ...(BUNDLE.rules?.[0] ?? never()), policy: 'lost' }],
    entities: [
      { type: 'group', id: 'g', parents: [{ type: 'group', id: 'h' }] },
      { type: 'group', id: 'h', parents: [{ type: 'group', id: 'g' }] },
      { type: 'session', id: '1' },
    ],
    assignments: [{ subject: { type: 'session', id: '1' }, role: 'pdp:admin' }],
  }
  const refused = await refusal(bench, () => bench.administration.fillTenant(by(), broken))
  expect(refused.code).toBe('unprocessable')
  expect(refused.pointers).toEqual(
    expect.arrayContaining([
      '/roles/2',
      '/roles/1/inherits/1',
      '/roles/0/inherits/0',
      '/roles/1/inherits/0',
      '/rules/0/policy',
      '/rules/0/subjects/0/role',
      '/entities/0/parents/0',
      '/entities/1/parents/0',
      '/entities/2/type',
      '/entities/1/properties/name',
      '/assignments/0/subject/type',
      '/assignments/0/role',
    ]),
  )
})

test('a bundle fills an empty tenant in one revision, marked as its own', async () => {
  const answer = await bench.administration.fillTenant(by(), BUNDLE)
  expect(answer).toMatchObject({
    revision: 1,
    body: { types: 2, policies: 1, roles: 2, rules: 1, entities: 2, assignments: 1 },
  })
  const { items } = await bench.administration.changes.list({ tenant: 'acme' }, 0, FIRST_PAGE)
  expect(items.map(({ kind }) => kind).join(' ')).toBe(
    'settings type type policy role role rule entity entity assignment',
  )
  const marked = await sql<{ count: number }>`
    select (select count(*) from entities where from_bundle) + (select count(*) from assignments where from_bundle) as count`.execute(
    bench.db,
  )
  expect(marked.rows[0]?.count).toBe(3)
  const refused = await refusal(bench, () => bench.administration.roles.delete(by(), 'viewer'))
  expect(refused.message).toContain('role editor')
})

test('a tenant that has a policy is not filled', async () => {
  expect(await refusal(bench, () => bench.administration.fillTenant(by(), BUNDLE))).toMatchObject({ code: 'conflict' })
})

function never(): never {
  throw new Error('the bundle has a rule')
}
