import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { readBundle } from '../../src/administration/bundle.ts'
import { type Bench, by, digest, FIRST_PAGE, idempotent, openBench, refusal, revisionOf } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

const tables = ['settings', 'types', 'policies', 'roles', 'rules', 'policy_references', 'entities', 'assignments']
beforeEach(async () => {
  for (const table of [...tables, 'api_keys']) await sql`delete from ${sql.table(table)}`.execute(bench.db)
})

const RULE = {
  name: 'r',
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['*'],
  resources: [{ type: 'document' }],
}
const ALICE = { type: 'user', id: 'alice' }
const ENG = { type: 'group', id: 'eng' }

const WHOLE = {
  verdict: 1,
  settings: { audit_mode: 'commit' },
  types: [
    { name: 'document', protected_properties: ['owner'] },
    { name: 'session', stored: 'never' },
  ],
  policies: [{ name: 'acl', required: true }],
  roles: [{ name: 'editor', inherits: ['viewer'] }, { name: 'viewer' }],
  rules: [{ ...RULE, policy: 'acl', subjects: [{ role: 'editor' }] }],
  entities: [{ ...ALICE, parents: [ENG] }, ENG],
  assignments: [{ subject: ALICE, role: 'editor', reason: 'asked for' }],
}

const apply = (sections: object, write = by()) =>
  bench.administration.bundle.apply(write, readBundle({ verdict: 1, ...sections }))
const rehearse = (sections: object, write = by()) =>
  bench.administration.bundle.rehearse(write, readBundle({ verdict: 1, ...sections }))
const refused = (sections: object, write = by()) => refusal(bench, () => apply(sections, write))
const names = async () =>
  (await bench.administration.roles.list({ tenant: 'acme' }, FIRST_PAGE)).items.map((r) => r.name)

test('a bundle fills an empty tenant in one revision, marked as its own', async () => {
  const before = await revisionOf(bench.db)
  const { revision, version, body } = await apply(WHOLE)
  expect({ revision, version }).toEqual({ revision: before + 1, version: before + 1 })
  expect(body).toMatchObject({ dry_run: false, added: 9, changed: 1, removed: 0, unchanged: 0 })
  expect(body.sections.assignments?.differences).toEqual([{ change: 'added', name: 'user/alice: editor' }])
  expect(body.sections.settings?.differences).toEqual([
    {
      change: 'changed',
      name: 'settings',
      members: [{ member: 'audit_mode', before: 'journal', after: 'commit' }],
    },
  ])
  const { items } = await bench.administration.changes.list({ tenant: 'acme' }, before, FIRST_PAGE)
  expect(items.map(({ kind }) => kind).join(' ')).toBe(
    'settings type type policy role role rule entity entity assignment',
  )
})

test('the same bundle again is an empty difference and no revision', async () => {
  const { revision } = await apply(WHOLE)
  const stored = await digest(bench.db)
  const again = await apply(WHOLE)
  expect(again).toMatchObject({ revision, recorded: false })
  expect(again.body).toMatchObject({ added: 0, changed: 0, removed: 0, unchanged: 10 })
  expect(await digest(bench.db)).toBe(stored)
})

test('a section that is present declares the whole of it, one that is absent is left alone', async () => {
  await apply(WHOLE)
  const { body } = await apply({
    roles: [{ name: 'viewer', description: 'reads' }, { name: 'editor' }, { name: 'new' }],
  })
  expect(body).toMatchObject({ added: 1, changed: 2, removed: 0 })
  expect(body.sections).toEqual({ roles: expect.anything() })
  expect(body.sections.roles?.differences).toEqual([
    { change: 'changed', name: 'editor', members: [{ member: 'inherits', before: ['viewer'], after: [] }] },
    { change: 'changed', name: 'viewer', members: [{ member: 'description', before: '', after: 'reads' }] },
    { change: 'added', name: 'new' },
  ])
  expect((await apply({ roles: [{ name: 'editor' }] })).body).toMatchObject({ removed: 2 })
  expect(await names()).toEqual(['editor'])
})

test('a rehearsal gives the same difference and writes nothing', async () => {
  await apply(WHOLE)
  const stored = await digest(bench.db)
  const target = { ...WHOLE, rules: [], roles: [{ name: 'editor' }], entities: [ENG], assignments: [] }
  const rehearsed = await rehearse(target)
  expect(await digest(bench.db)).toBe(stored)
  const applied = await apply(target)
  expect({ ...rehearsed.body, dry_run: false }).toEqual(applied.body)
  expect(applied.revision).toBe(rehearsed.revision + 1)
})

test('entities and assignments that were made by hand are changed by a bundle, never deleted', async () => {
  await bench.administration.roles.put(by(), { name: 'editor' })
  await bench.administration.entities.put(by(), { type: 'user', id: 'hand' })
  await bench.administration.entities.put(by(), ALICE)
  await bench.administration.assignments.create(by(), { subject: ALICE, role: 'editor' })
  await apply({ entities: [{ ...ALICE, disabled: true }, ENG], assignments: [{ subject: ENG, role: 'editor' }] })
  const { body } = await apply({ entities: [], assignments: [] })
  expect(body).toMatchObject({ added: 0, changed: 0, removed: 2 })
  const left = await bench.administration.entities.list({ tenant: 'acme' }, {}, FIRST_PAGE)
  expect(left.items.map(({ id, disabled }) => [id, disabled])).toEqual([
    ['alice', true],
    ['hand', false],
  ])
  const given = await bench.administration.assignments.list({ tenant: 'acme' }, {}, FIRST_PAGE)
  expect(given.items.map(({ subject }) => subject)).toEqual([ALICE])
})

test('who declares what was made by hand is told that it stays when it is left out', async () => {
  await bench.administration.roles.put(by(), { name: 'editor' })
  for (const id of ['a', 'b', 'c', 'd']) await bench.administration.entities.put(by(), { type: 'user', id })
  await bench.administration.assignments.create(by(), { subject: ALICE, role: 'editor' })
  const entities = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ type: 'user', id }))
  const declared = { entities, assignments: [ALICE, ENG].map((subject) => ({ subject, role: 'editor' })) }
  const stays = 'one that is left out later is not deleted'
  const warnings = [
    { pointer: '/entities', detail: `4 made by hand and not by a bundle (user/a, user/b, user/c, …): ${stays}` },
    { pointer: '/assignments', detail: `1 made by hand and not by a bundle (user/alice: editor): ${stays}` },
  ]
  for (let times = 0; times < 2; times++) expect((await apply(declared)).body.warnings).toEqual(warnings)
  const own = { entities: [{ type: 'user', id: 'e' }], assignments: [{ subject: ENG, role: 'editor' }] }
  expect((await apply(own)).body.warnings).toBeUndefined()
})

test('a reason is all about an assignment that can change, and its id stays', async () => {
  await apply(WHOLE)
  const before = await bench.administration.assignments.list({ tenant: 'acme' }, {}, FIRST_PAGE)
  const { body } = await apply({ assignments: [{ subject: ALICE, role: 'editor', reason: 'another' }] })
  expect(body).toMatchObject({ added: 0, changed: 1, removed: 0 })
  const after = await bench.administration.assignments.list({ tenant: 'acme' }, {}, FIRST_PAGE)
  expect(after.items).toEqual([{ ...before.items[0], reason: 'another' }])
})

test('a built-in policy that a present section leaves out returns to its defaults', async () => {
  await apply({ policies: [{ name: 'default', combining: 'first_applicable' }] })
  const { body } = await apply({ policies: [] })
  expect(body.sections.policies?.differences).toEqual([
    {
      change: 'changed',
      name: 'default',
      members: [{ member: 'combining', before: 'first_applicable', after: 'deny_overrides' }],
    },
  ])
  const { body: found } = await bench.administration.policies.get({ tenant: 'acme' }, 'default')
  expect(found).toMatchObject({ combining: 'deny_overrides' })
  expect((await apply({ policies: [] })).body).toMatchObject({ changed: 0 })
  expect((await apply({ policies: [{ name: 'roles' }] })).body).toMatchObject({ added: 0, changed: 0, unchanged: 1 })
})

test('all problems are told at once: of shape, of sense, and of what is named', async () => {
  const { code, pointers } = await refused({
    rubbish: [],
    types: [{ name: 'session', stored: 'never' }],
    policies: [{ name: 'pdp' }],
    roles: [
      { name: 'a', inherits: ['b'] },
      { name: 'b', inherits: ['a', 'gone'] },
      { name: 'b' },
      { name: 'half', inherits: 7 },
    ],
    rules: [
      { ...RULE, policy: 'lost', condition: '1 +', subjects: [{ role: 'half' }, { role: 'nobody' }] },
      { ...RULE, name: 'x', subjects: [{ role: 'pdp:admin' }] },
      { ...RULE, name: 'y', effect: 'perhaps' },
    ],
    entities: [
      { type: 'group', id: 'g', parents: [{ type: 'group', id: 'h' }] },
      { type: 'group', id: 'h', parents: [{ type: 'group', id: 'g' }] },
      { type: 'session', id: '1' },
    ],
    assignments: [{ subject: { type: 'session', id: '1' }, role: 'pdp:admin' }],
  })
  expect(code).toBe('unprocessable')
  expect(pointers.toSorted()).toEqual(
    [
      '/rubbish',
      '/policies/0/name',
      '/roles/2',
      '/roles/1/inherits/1',
      '/roles/0/inherits/0',
      '/roles/1/inherits/0',
      '/roles/3/inherits',
      '/rules/0/policy',
      '/rules/0/condition',
      '/rules/0/subjects/1/role',
      '/rules/1/subjects/0/role',
      '/rules/2/effect',
      '/entities/0/parents/0',
      '/entities/1/parents/0',
      '/entities/2/type',
      '/assignments/0/subject/type',
      '/assignments/0/role',
    ].toSorted(),
  )
})

test('what a bundle names may be in the tenant, where the section is left alone', async () => {
  await apply({ roles: [{ name: 'editor' }], policies: [{ name: 'acl' }] })
  await apply({ rules: [{ ...RULE, policy: 'acl', subjects: [{ role: 'editor' }] }] })
  expect(await refused({ rules: [{ ...RULE, policy: 'no', subjects: [{ role: 'none' }] }] })).toMatchObject({
    pointers: ['/rules/0/subjects/0/role', '/rules/0/policy'],
  })
})

test.each<[string, object, object, string]>([
  [
    'a policy with rules',
    { policies: [{ name: 'acl' }], rules: [{ ...RULE, policy: 'acl' }] },
    { policies: [] },
    'rule r',
  ],
  [
    'a role that a rule names',
    { roles: [{ name: 'e' }], rules: [{ ...RULE, subjects: [{ role: 'e' }] }] },
    { roles: [] },
    'rule r',
  ],
  [
    'a role that is given in a section left alone',
    { roles: [{ name: 'e' }], assignments: [{ subject: ALICE, role: 'e' }] },
    { roles: [] },
    'an assignment of user/alice',
  ],
  [
    'an entity that a rule names',
    { entities: [ENG], rules: [{ ...RULE, subjects: [ENG] }] },
    { entities: [] },
    'rule r',
  ],
  [
    'an entity that a rule of the same bundle names',
    { entities: [ENG] },
    { entities: [], rules: [{ ...RULE, resources: [{ type: 'x', within: ENG }] }] },
    'rule r',
  ],
  [
    'an entity that a permission names',
    {
      entities: [ENG],
      roles: [{ name: 'e', permissions: [{ actions: ['*'], resources: [{ type: 'x', within: ENG }] }] }],
    },
    { entities: [] },
    'role e',
  ],
  [
    'an entity that is given a role in a section left alone',
    { entities: [ENG], roles: [{ name: 'e' }], assignments: [{ subject: ENG, role: 'e' }] },
    { entities: [] },
    'an assignment of e to group/eng',
  ],
  [
    'a type of which there are entities',
    { types: [{ name: 'user' }], entities: [ALICE] },
    { types: [] },
    'entity user/alice',
  ],
])('%s is not deleted while it is in use', async (_what, first, second, user) => {
  await apply(first)
  const { code, message, pointers } = await refused(second)
  expect(code).toBe('unprocessable')
  expect(pointers).toEqual([`/${Object.keys(second)[0]}`])
  expect(message).toContain('a problem')
  const failure = await apply(second).catch((error) => error)
  expect(failure.problems[0].detail).toContain(`but is in use: by ${user}`)
})

test('what people made by hand keeps what a bundle would delete', async () => {
  await apply({ roles: [{ name: 'e' }], entities: [ENG] })
  await bench.administration.assignments.create(by(), { subject: ALICE, role: 'e' })
  await bench.administration.assignments.create(by(), { subject: ALICE, role: 'e', within: ENG })
  await bench.administration.entities.put(by(), { ...ALICE, parents: [ENG] })
  await bench.administration.api_keys.create(by(), { name: 'k', subject: ENG })
  const failure = await apply({ roles: [], entities: [], assignments: [] }).catch((error) => error)
  expect(failure.problems.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['/roles', '/entities'])
  expect(failure.problems[1].detail).toMatch(/API key \w+, an assignment of e to user\/alice, entity user\/alice$/)
})

test('an assignment that the bundle keeps outlives the entity that it deletes', async () => {
  await apply({ roles: [{ name: 'e' }], entities: [ALICE], assignments: [{ subject: ALICE, role: 'e' }] })
  const before = await revisionOf(bench.db)
  const { body } = await apply({ entities: [], assignments: [{ subject: ALICE, role: 'e' }] })
  expect(body).toMatchObject({ removed: 1, unchanged: 1 })
  const { items } = await bench.administration.changes.list({ tenant: 'acme' }, before, FIRST_PAGE)
  // Whoever follows the log drops the assignments of an entity that goes.
  expect(items.map(({ kind, operation }) => `${kind} ${operation}`)).toEqual(['entity delete', 'assignment update'])
})

test('a cycle by way of entities that are not in the bundle is found', async () => {
  await bench.administration.entities.put(by(), { type: 'group', id: 'hand', parents: [ENG] })
  const hand = { type: 'group', id: 'hand' }
  expect(await refused({ entities: [ALICE, { ...ENG, parents: [ALICE, hand] }] })).toMatchObject({
    pointers: ['/entities/1/parents/1'],
  })
  await apply({ entities: [{ ...ALICE, parents: [hand] }, ENG] })
})

test('an edge that the bundle takes away is on no cycle', async () => {
  const a = { type: 'group', id: 'a' }
  const b = { type: 'group', id: 'b' }
  await apply({ entities: [{ ...a, parents: [b] }, b] })
  await apply({ entities: [a, { ...b, parents: [a] }] })
  await apply({ entities: [{ ...a, parents: [b] }] })
})

test('a type becomes never stored only where nothing of it is, and stays', async () => {
  await bench.administration.entities.put(by(), ALICE)
  await apply({
    roles: [{ name: 'e' }],
    entities: [ENG],
    assignments: [{ subject: { type: 'bot', id: '1' }, role: 'e' }],
  })
  const types = ['user', 'group', 'bot'].map((name) => ({ name, stored: 'never' }))
  expect(await refused({ types })).toMatchObject({
    pointers: ['/types/0/stored', '/types/1/stored', '/types/2/stored'],
  })
  expect(await refused({ types, entities: [], assignments: [] })).toMatchObject({ pointers: ['/types/0/stored'] })
})

test('what is added or changed fits the types that will be declared; what stays is not looked at', async () => {
  const schema = { type: 'object', required: ['name'] }
  const group = { name: 'group', schema }
  expect(await refused({ types: [group], entities: [ALICE, ENG] })).toMatchObject({
    pointers: ['/entities/1/properties/name'],
  })
  await apply({ entities: [ALICE, ENG] })
  await apply({ types: [group], entities: [ALICE, ENG] })
  expect(await refused({ entities: [{ ...ENG, disabled: true }] })).toMatchObject({
    pointers: ['/entities/0/properties/name'],
  })
  const { body } = await apply({ types: [{ ...group, on_invalid: 'warn' }], entities: [{ ...ENG, disabled: true }] })
  expect(body.warnings?.map(({ pointer }) => pointer)).toEqual(['/entities/0/properties/name'])
})

test('rules and roles that name what no type declares are warned of', async () => {
  const types = [{ name: 'document', actions: ['read'] }]
  const permissions = [{ actions: ['reed'], resources: [{ type: 'document' }] }]
  const { body } = await apply({
    types,
    rules: [{ ...RULE, actions: ['read', 'raed'] }],
    roles: [{ name: 'e', permissions }],
  })
  expect(body.warnings?.map(({ pointer }) => pointer)).toEqual([
    '/roles/0/permissions/0/actions/0',
    '/rules/0/actions/1',
  ])
  expect((await apply({ types, roles: [{ name: 'e', permissions }] })).body).not.toHaveProperty('warnings')
})

test('holders of built-in roles lie outside bundles, whoever applies them', async () => {
  const ada = { type: 'user', id: 'ada' }
  await bench.administration.assignments.create(by(), { subject: ada, role: 'pdp:admin' })
  await bench.administration.api_keys.create(by(), { name: 'k', subject: ALICE, roles: ['pdp:decider'] })
  expect(
    await refused({ roles: [{ name: 'e' }], entities: [ada, ENG], assignments: [{ subject: ALICE, role: 'e' }] }),
  ).toMatchObject({ pointers: ['/entities/0', '/assignments/0/subject'] })
})

test('what a bundle made of somebody who came to hold a built-in role is not its business any more', async () => {
  await apply({ roles: [{ name: 'e' }], entities: [ALICE, ENG], assignments: [{ subject: ALICE, role: 'e' }] })
  await bench.administration.assignments.create(by(), { subject: ALICE, role: 'pdp:decider' })
  const { body } = await apply({ entities: [], assignments: [] })
  expect(body).toMatchObject({ removed: 1 })
  await bench.administration.entities.get({ tenant: 'acme' }, ALICE)
})

test('settings are for who holds pdp:admin', async () => {
  const write = by({}, 'pdp:policy_admin')
  expect(await refused({ settings: {} }, write)).toMatchObject({ code: 'forbidden' })
  await apply({ roles: [] }, write)
})

test('If-Match compares the revision, and an Idempotency-Key gives the first answer again', async () => {
  const { revision } = await apply(WHOLE)
  expect(await refused({ roles: [] }, by({ if_match: `"${revision - 1}"` }))).toMatchObject({
    code: 'version_mismatch',
  })
  const write = by({ if_match: `"${revision}"`, ...idempotent('k', 'bundle') })
  const first = await apply({ types: [{ name: 'thing' }, ...WHOLE.types] }, write)
  const again = await apply({ types: [{ name: 'thing' }, ...WHOLE.types] }, write)
  expect(again).toEqual({ ...first, recorded: false })
  expect(first.body).toMatchObject({ added: 1 })
})

test('an apply leaves one record, with its reason', async () => {
  await apply(WHOLE, by({ reason: 'the new office' }))
  const event = JSON.parse(bench.announced.at(-1)?.event ?? '')
  expect(event.context).toMatchObject({ reason: 'the new office', changes_total: 10 })
})

test('a thing takes at most a million characters', async () => {
  const big = { ...ALICE, properties: { text: 'x'.repeat(1024 * 1024) } }
  expect(await refused({ entities: [big] })).toMatchObject({ pointers: ['/entities/0'] })
})

test('problems beyond the thousand that are listed are counted', async () => {
  const roles = Array.from({ length: 1500 }, (_, n) => ({ name: `r${n}`, inherits: ['gone'] }))
  const { pointers, message } = await refused({ roles, rules: Array.from({ length: 1200 }, () => 7) })
  expect(pointers).toHaveLength(1000)
  expect(message).toMatch(/2700 problems.*the first 1000 are listed/)
})
