import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bench, by, FIRST_PAGE, openBench, refusal, revisionOf } from './support.ts'

const ACME = { tenant: 'acme' }
const anyone = { subjects: [{ any: true as const }], actions: ['read'], resources: [{ type: 'doc' }] }

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

describe('roles', () => {
  test('a role is answered with its defaults filled in, its version and its instants', async () => {
    const answer = await bench.administration.roles.create(by(), { name: 'viewer' })
    expect(answer).toEqual({
      status: 201,
      revision: 1,
      version: 1,
      recorded: true,
      in_force: true,
      body: {
        name: 'viewer',
        description: '',
        inherits: [],
        permissions: [],
        version: 1,
        created_at: '2026-01-02T03:04:05.678Z',
        updated_at: '2026-01-02T03:04:05.678Z',
      },
    })
    expect(await bench.administration.roles.get(ACME, 'viewer')).toEqual({ body: answer.body, version: 1 })
  })

  test('a role that exists cannot be created again', async () => {
    const refused = await refusal(bench, () => bench.administration.roles.create(by(), { name: 'viewer' }))
    expect(refused).toMatchObject({ code: 'conflict', pointers: ['/name'] })
  })

  test('putting a role creates it, replaces it, and changes nothing when nothing changes', async () => {
    const { roles } = bench.administration
    const created = await roles.put(by(), { name: 'editor', inherits: ['viewer'] })
    const replaced = await roles.put(by(), { name: 'editor', inherits: ['viewer'], description: 'Edits.' })
    const before = await revisionOf(bench.db)
    const same = await roles.put(by(), { inherits: ['viewer'], name: 'editor', permissions: [], description: 'Edits.' })
    expect([created.status, replaced.status, same.status]).toEqual([201, 200, 200])
    expect(same).toMatchObject({ revision: before, version: replaced.version, recorded: false })
    expect(await revisionOf(bench.db)).toBe(before)
  })

  test('a role cannot build on one that is not there', async () => {
    const role = { name: 'lead', inherits: ['viewer', 'gone'], derived: { from: ['nobody'], condition: 'true' } }
    const refused = await refusal(bench, () => bench.administration.roles.put(by(), role))
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/inherits/1', '/derived/from/0'] })
  })

  test('roles build no cycle over inherits and derived.from together', async () => {
    const { roles } = bench.administration
    await roles.put(by(), { name: 'owner', derived: { from: ['editor'], condition: 'true' } })
    const refused = await refusal(bench, () => roles.put(by(), { name: 'viewer', inherits: ['owner'] }))
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/inherits/0'] })
    const itself = await refusal(bench, () => roles.put(by(), { name: 'self', inherits: ['viewer', 'self'] }))
    expect(itself).toMatchObject({ code: 'unprocessable', pointers: ['/inherits/1'] })
  })

  test('a role cannot be deleted while a role, a rule or an assignment uses it', async () => {
    const { roles, rules, assignments } = bench.administration
    await roles.put(by(), { name: 'used' })
    await roles.put(by(), { name: 'user-of-it', inherits: ['used'] })
    await rules.put(by(), { ...anyone, name: 'by-role', effect: 'allow', subjects: [{ role: 'used' }] })
    const given = await assignments.create(by(), { subject: { type: 'user', id: 'bob' }, role: 'used' })
    const refused = await refusal(bench, () => roles.delete(by(), 'used'))
    expect(refused.code).toBe('conflict')
    expect(refused.message).toContain('role user-of-it, rule by-role, an assignment of user/bob')
    await roles.delete(by(), 'user-of-it')
    await rules.delete(by(), 'by-role')
    await assignments.delete(by(), given.body.id)
    expect(await roles.delete(by(), 'used')).toMatchObject({ status: 204, body: null, version: null })
    expect(await refusal(bench, () => roles.get(ACME, 'used'))).toMatchObject({ code: 'not_found' })
  })

  test('the members of a role are its direct assignments', async () => {
    const { roles, assignments } = bench.administration
    const { body } = await assignments.create(by(), { subject: { type: 'user', id: 'eve' }, role: 'editor' })
    expect(await roles.members(ACME, 'editor', FIRST_PAGE)).toEqual({ items: [body], next_cursor: null })
    expect(await refusal(bench, () => roles.members(ACME, 'nobody', FIRST_PAGE))).toMatchObject({ code: 'not_found' })
  })
})

describe('rules', () => {
  test('a rule names only roles and policies that are there', async () => {
    const rule = {
      ...anyone,
      name: 'r',
      effect: 'deny' as const,
      policy: 'acl',
      subjects: [{ any: true as const }, { role: 'gone' }],
    }
    const refused = await refusal(bench, () => bench.administration.rules.create(by(), rule))
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/policy', '/subjects/1/role'] })
  })

  test('the list of rules is filtered by what the rules say', async () => {
    const { rules, policies } = bench.administration
    await policies.put(by(), { name: 'acl' })
    await rules.put(by(), { ...anyone, name: 'a', effect: 'allow', policy: 'acl' })
    await rules.put(by(), { ...anyone, name: 'b', effect: 'deny', actions: ['write', 'read'] })
    await rules.put(by(), {
      ...anyone,
      name: 'c',
      effect: 'allow',
      subjects: [{ role: 'editor' }],
      resources: [{ type: 'file' }],
    })
    const names = async (filter: Parameters<typeof rules.list>[1]) =>
      (await rules.list(ACME, filter, FIRST_PAGE)).items.map(({ name }) => name)
    expect(await names({})).toEqual(['a', 'b', 'c'])
    expect(await names({ policy: 'acl' })).toEqual(['a'])
    expect(await names({ effect: 'deny' })).toEqual(['b'])
    expect(await names({ action: 'write' })).toEqual(['b'])
    expect(await names({ role: 'editor' })).toEqual(['c'])
    expect(await names({ resource_type: 'file' })).toEqual(['c'])
    expect(await names({ resource_type: 'doc', effect: 'allow' })).toEqual(['a'])
  })

  test('pages follow each other by cursors, without a gap and without a repetition', async () => {
    const { rules } = bench.administration
    const first = await rules.list(ACME, {}, { limit: 2 })
    const second = await rules.list(ACME, {}, { limit: 2, cursor: first.next_cursor })
    expect([...first.items, ...second.items].map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect(second.next_cursor).toBeNull()
  })

  test.each([
    '',
    'bm90IGpzb24',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('["a","b"]').toString('base64url'),
    Buffer.from('["\\u0000"]').toString('base64url'),
  ])('the cursor "%s" is none', async (cursor) => {
    const refused = await refusal(bench, () => bench.administration.rules.list(ACME, {}, { limit: 2, cursor }))
    expect(refused).toMatchObject({ code: 'invalid_request', pointers: ['/cursor'] })
  })
})

describe('what is refused by itself', () => {
  const { rules, roles, policies } = {
    rules: (more: object) => () =>
      bench.administration.rules.put(by(), { ...anyone, name: 'x', effect: 'allow', ...more }),
    roles: (more: object) => () => bench.administration.roles.put(by(), { name: 'x', ...more }),
    policies: (more: object) => () => bench.administration.policies.put(by(), { name: 'x', ...more }),
  }
  const permission = { actions: ['read'], resources: [{ type: 'doc' }] }
  test.each<[string, string, () => Promise<unknown>]>([
    ['/condition', 'a condition that does not parse', rules({ condition: 'subject.' })],
    ['/policy', 'a rule in the policy roles', rules({ policy: 'roles' })],
    ['/policy', 'a rule in the policy pdp', rules({ policy: 'pdp' })],
    ['/subjects/0/role', 'a rule for holders of a built-in role', rules({ subjects: [{ role: 'pdp:admin' }] })],
    ['/actions/1', 'a rule about a built-in action', rules({ actions: ['read', 'pdp:write'] })],
    ['/resources/0/type', 'a rule about a built-in type', rules({ resources: [{ type: 'pdp:rule' }] })],
    [
      '/valid_until',
      'a rule that ends before it begins',
      rules({ valid_from: '2026-01-02T00:00:00Z', valid_until: '2026-01-01T00:00:00Z' }),
    ],
    ['/name', 'a role that is named like a built-in one', roles({ name: 'pdp:mine' })],
    ['/inherits/0', 'a role that inherits a built-in one', roles({ inherits: ['pdp:admin'] })],
    [
      '/permissions/1/condition',
      "a permission's condition that does not parse",
      roles({ permissions: [permission, { ...permission, condition: '(' }] }),
    ],
    ['/name', 'the policy pdp', policies({ name: 'pdp' })],
    ['/target/actions/0', 'a policy about a built-in action', policies({ target: { actions: ['pdp:write'] } })],
  ])('%s: %s', async (pointer, _, work) => {
    expect(await refusal(bench, work)).toMatchObject({ code: 'unprocessable', pointers: [pointer] })
  })
})

describe('policies', () => {
  test('the built-in policies are there with their defaults', async () => {
    const { items } = await bench.administration.policies.list({ tenant: 'other' }, FIRST_PAGE)
    expect(items.map(({ name, version, built_in }) => [name, version, built_in])).toEqual([
      ['capabilities', 0, true],
      ['default', 0, true],
      ['roles', 0, true],
    ])
    const { body } = await bench.administration.policies.get({ tenant: 'other' }, 'roles')
    expect(body).toMatchObject({ combining: 'deny_overrides', required: false, built_in: true })
  })

  test('a built-in policy can be set, and is not deleted', async () => {
    const { policies } = bench.administration
    expect(await policies.put(by({ if_match: '"0"' }), { name: 'roles' })).toMatchObject({
      status: 200,
      recorded: false,
    })
    const set = await policies.put(by(), { name: 'roles', required: true })
    expect(set).toMatchObject({ status: 200, recorded: true, body: { required: true, built_in: true } })
    expect(await refusal(bench, () => policies.delete(by(), 'roles'))).toMatchObject({ code: 'conflict' })
    const { items } = await policies.list(ACME, FIRST_PAGE)
    expect(items.find(({ name }) => name === 'roles')).toEqual(set.body)
  })

  test('a policy cannot be deleted while it holds a rule', async () => {
    const { policies, rules } = bench.administration
    const refused = await refusal(bench, () => policies.delete(by(), 'acl'))
    expect(refused).toMatchObject({ code: 'conflict' })
    expect(refused.message).toContain('rule a')
    await rules.delete(by(), 'a')
    expect(await policies.delete(by(), 'acl')).toMatchObject({ status: 204 })
  })
})

describe('settings', () => {
  test('settings are put whole: what is left out returns to its default', async () => {
    const { settings } = bench.administration
    expect(await settings.get(ACME)).toMatchObject({ version: 0, body: { audit_mode: 'journal' } })
    await settings.put(by(), { audit_mode: 'commit' })
    const { body, revision } = await settings.put(by(), { rules_in_answers: false })
    expect(body).toMatchObject({ attribute_precedence: 'request', audit_mode: 'journal', rules_in_answers: false })
    const same = await settings.put(by(), { rules_in_answers: false, audit_mode: 'journal' })
    expect(same).toMatchObject({ revision, version: revision, recorded: false })
  })
})

describe('If-Match', () => {
  test('a write with the present version is done, one with another is not', async () => {
    const { roles } = bench.administration
    const { version } = await roles.put(by(), { name: 'matched' })
    const stale = await refusal(bench, () =>
      roles.put(by({ if_match: `"${Number(version) - 1}"` }), { name: 'matched', description: 'x' }),
    )
    expect(stale.code).toBe('version_mismatch')
    expect(await roles.put(by({ if_match: `"7", "${version}"` }), { name: 'matched', description: 'x' })).toMatchObject(
      { status: 200 },
    )
    const weak = await refusal(bench, () => roles.delete(by({ if_match: `W/"${version}"` }), 'matched'))
    expect(weak.code).toBe('version_mismatch')
    expect(await roles.delete(by({ if_match: '*' }), 'matched')).toMatchObject({ status: 204 })
  })

  test('"*" matches nothing where there is nothing', async () => {
    const refused = await refusal(bench, () => bench.administration.roles.put(by({ if_match: '*' }), { name: 'new' }))
    expect(refused.code).toBe('version_mismatch')
  })

  test('a thing that is made again never has a version that it had before', async () => {
    const { roles } = bench.administration
    const first = await roles.put(by(), { name: 'again' })
    await roles.delete(by(), 'again')
    const second = await roles.put(by(), { name: 'again' })
    expect(second.version).toBeGreaterThan(first.version ?? 0)
  })

  test('of writers that saw the same version, one wins', async () => {
    const { roles } = bench.administration
    const { version } = await roles.put(by(), { name: 'raced' })
    const writes = Array.from({ length: 10 }, (_, place) =>
      roles.put(by({ if_match: `"${version}"` }), { name: 'raced', description: `${place}` }).then(
        () => 'won',
        ({ code }) => code,
      ),
    )
    const outcomes = await Promise.all(writes)
    expect(outcomes.filter((outcome) => outcome === 'won')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'version_mismatch')).toHaveLength(9)
  })
})

describe('tenants', () => {
  test("another tenant's names are not there", async () => {
    const { roles } = bench.administration
    await roles.put(by(), { name: 'ours' })
    expect(await refusal(bench, () => roles.get({ tenant: 'other' }, 'ours'))).toMatchObject({ code: 'not_found' })
    const stranger = by({ tenant: 'other', caller: { ...by().caller, tenant: 'other' } })
    expect(await refusal(bench, () => roles.delete(stranger, 'ours'))).toMatchObject({ code: 'not_found' })
    const naming = { subject: { type: 'user', id: 'x' }, role: 'ours' }
    expect(await refusal(bench, () => bench.administration.assignments.create(stranger, naming))).toMatchObject({
      code: 'unprocessable',
      pointers: ['/role'],
    })
  })
})
