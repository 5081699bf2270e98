import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { at } from '../support/clock.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { eventually, newKey, type Reply, startService, type TestService } from '../support/service.ts'
import { timed } from '../support/stopwatch.ts'

let database: FreshDatabase
let one: TestService
let other: TestService
let env: Record<string, string>

beforeAll(async () => {
  database = await freshDatabase()
  env = {
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: newKey(),
    VERDICT_MASTER_KEY: Buffer.alloc(32, 'two replicas').toString('base64'),
  }
  one = await startService({ database, env })
  other = await startService({ database, env })
})

afterAll(async () => {
  await one.close()
  await other.close()
  await database.close()
})

let names = 0
const name = () => `n${++names}`
const user = (id = name()) => ({ type: 'user', id })
const IN_AN_HOUR = new Date(Date.now() + 3_600_000).toISOString()
type Subject = { readonly type: string; readonly id: string }

const granted = (subject: Subject, more: object = {}) => ({
  subject,
  actions: ['task:run'],
  resources: [{ type: 'task', id: 'batch/**' }],
  expires_at: IN_AN_HOUR,
  ...more,
})

async function grant(subject: Subject, more: object = {}, key = one.adminKey): Promise<Reply> {
  return one.ask('POST /v1/capabilities', { body: granted(subject, more), key })
}

async function made(subject: Subject, more: object = {}): Promise<Reply['body']> {
  const { status, body } = await grant(subject, more)
  expect([status, body]).toEqual([201, body])
  return body
}

/** A key that acts as somebody and holds these built-in roles. */
async function keyOf(subject: Subject, roles: readonly string[]): Promise<string> {
  return (await one.ask('POST /v1/api-keys', { body: { name: 'k', subject, roles } })).body.key
}

const question = (subject: Subject, more: object = {}) => ({
  subject,
  action: { name: 'task:run' },
  resource: { type: 'task', id: 'batch/1' },
  ...more,
})

async function asked(subject: Subject, more: object = {}, at = one): Promise<Reply['body']> {
  return (await at.ask('POST /v1/authorize', { body: question(subject, more) })).body
}

async function isAllowed(subject: Subject, more: object = {}, at = one): Promise<boolean> {
  return (await asked(subject, more, at)).decision
}

const pointers = ({ body }: Reply) => body.errors?.map(({ pointer }: { pointer: string }) => pointer)

describe('a capability', () => {
  test('allows what it names, is named in the answer, and says who granted it when', async () => {
    const ann = user()
    const { status, body, headers } = await grant(ann, { justification: 'nightly runs', name: 'nightly' })
    expect(status).toBe(201)
    expect(headers.get('etag')).toBe(`"${body.version}"`)
    expect(Number(headers.get('verdict-revision'))).toBe(body.version)
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      subject: ann,
      actions: ['task:run'],
      condition: null,
      constraints: {},
      justification: 'nightly runs',
      name: 'nightly',
      delegable: false,
      from: null,
      request: null,
      granted_by: { type: 'service', id: 'admin' },
      active: true,
      revoked_at: null,
      granted_at: expect.any(String),
    })
    expect(await asked(ann)).toMatchObject({
      decision: true,
      context: { reason: 'allowed_by_rule', rules: [`capabilities/${body.id}`], obligations: [] },
    })
    expect(await isAllowed(ann, { resource: { type: 'task', id: 'nightly/1' } })).toBe(false)
    expect(await isAllowed(ann, { action: { name: 'task:stop' } })).toBe(false)
    expect(await isAllowed(user())).toBe(false)
  })

  test('of a group is that of its members', async () => {
    const [ann, crew] = [user(), { type: 'group', id: name() }]
    await one.ask(`PUT /v1/entities/user/${ann.id}`, { body: { parents: [crew] } })
    const { id } = await made(crew)
    expect((await asked(ann)).context.rules).toEqual([`capabilities/${id}`])
  })

  test('applies while its condition holds', async () => {
    const ann = user()
    await made(ann, { condition: 'context.hour < 6' })
    expect(await isAllowed(ann, { context: { hour: 5 } })).toBe(true)
    expect(await isAllowed(ann, { context: { hour: 6 } })).toBe(false)
    expect((await asked(ann)).context.reason).toBe('condition_error')
  })

  test('is outweighed by a deny, and is not enough where a policy is required', async () => {
    const ann = user()
    const type = name()
    await made(ann, { resources: [{ type }] })
    const about = { resource: { type, id: 'x' } }
    expect(await isAllowed(ann, about)).toBe(true)
    const rule = { effect: 'deny', subjects: [ann], actions: ['*'], resources: [{ type }] }
    await one.ask(`PUT /v1/rules/${type}`, { body: rule })
    expect((await asked(ann, about)).context.reason).toBe('denied_by_rule')
    await one.ask(`DELETE /v1/rules/${type}`)
    await one.ask('PUT /v1/policies/acl', { body: { required: true, target: { resource_types: [type] } } })
    expect((await asked(ann, about)).context.reason).toBe('required_policy_not_satisfied')
    await one.ask('DELETE /v1/policies/acl')
  })

  test('is explained and found like any rule', async () => {
    const ann = user()
    await one.ask(`PUT /v1/entities/user/${ann.id}`, { body: {} })
    const action = `${name()}:act`
    const { id } = await made(ann, { actions: [action], constraints: { cpu: 2 } })
    const body = question(ann, { action: { name: action }, context: { requested: { cpu: 1 } } })
    const { trace } = (await one.ask('POST /v1/authorize/explain', { body })).body
    expect(trace.rules).toMatchObject([{ rule: `capabilities/${id}`, applies: true }])
    const found = await one.ask('POST /access/v1/search/subject', {
      body: { ...body, subject: { type: 'user' } },
    })
    expect(found.body.results.map((entity: Subject) => entity.id)).toEqual([ann.id])
  })

  test('is over at its instant, and not before', async () => {
    const ann = user()
    const end = Date.now() + 60_000
    const { status } = await grant(ann, { expires_at: new Date(end).toISOString() })
    expect(status).toBe(201)
    const active = () =>
      one.ask(`GET /v1/capabilities?subject_id=${ann.id}`).then(({ body }) => body.items[0].active as boolean)
    expect(await at(end - 1, async () => [await isAllowed(ann), await active()])).toEqual([true, true])
    expect(await at(end, async () => [await isAllowed(ann), await active()])).toEqual([false, false])
  })
})

describe('constraints', () => {
  test('hold for what is requested, and go along as limits', async () => {
    const ann = user()
    const { id } = await made(ann, { constraints: { memory: 4000, 'gpu.hours': 1.5 } })
    const requesting = (requested?: unknown) => asked(ann, { context: requested === undefined ? {} : { requested } })
    const limits = { id: `capabilities/${id}`, type: 'limits', properties: { memory: 4000, 'gpu.hours': 1.5 } }
    for (const fitting of [undefined, {}, { memory: 4000 }, { memory: 0, 'gpu.hours': 1.5 }, { disk: 1e9 }]) {
      expect(await requesting(fitting)).toMatchObject({ decision: true, context: { obligations: [limits] } })
    }
    for (const beyond of [{ memory: 4000.001 }, { memory: 1, 'gpu.hours': 2 }]) {
      expect((await requesting(beyond)).decision, JSON.stringify(beyond)).toBe(false)
    }
    const wrong = [{ memory: '1' }, { memory: null }, { memory: true }, { memory: [1] }, { memory: {} }]
    for (const requested of [...wrong, null, 'memory', ['memory'], 7, []]) {
      expect((await requesting(requested)).decision, JSON.stringify(requested)).toBe(false)
    }
  })

  test.each([
    ['negative', { memory: -1 }, '/constraints/memory'],
    ['too large', { memory: 2 ** 53 }, ''],
    ['no number', { memory: '4000' }, '/constraints/memory'],
    ['of a name that would have to be escaped', { 'a"b': 1 }, '/constraints/a"b'],
  ])('%s are refused', async (_title, constraints, pointer) => {
    const refused = await grant(user(), { constraints })
    expect([refused.status, pointers(refused)]).toEqual([400, [pointer]])
  })
})

describe('what is wrong with a capability is refused, with a pointer, and nothing is written', () => {
  test.each([
    ['it has expired', { expires_at: '2020-01-01T00:00:00Z' }, 422, ['/expires_at']],
    ['it never ends', { expires_at: undefined }, 400, ['/expires_at']],
    ['it gives actions of Verdict', { actions: ['pdp:read'] }, 422, ['/actions/0']],
    ['it is about Verdict', { resources: [{ type: 'pdp:rule' }] }, 422, ['/resources/0/type']],
    ['its subject is of Verdict', { subject: { type: 'pdp:process', id: 'x' } }, 422, ['/subject/type']],
    ['its condition is none', { condition: 'a &&' }, 422, ['/condition']],
    ['it closes a bracket that it did not open', { condition: 'true) || (true' }, 422, ['/condition']],
    ['it grants what it cannot compare', { resources: [{ type: 'a', id: 'x\\' }] }, 422, ['/resources/0/id']],
    ['it says who granted it', { granted_by: { type: 'user', id: 'x' } }, 400, ['/granted_by']],
    [
      'a condition of its subject is to be handed on',
      { delegable: true, condition: 'subject.id == "a"' },
      422,
      ['/delegable'],
    ],
    ['it comes out of one that is not there', { from: '0190a0a0-0000-7000-8000-000000000000' }, 422, ['/from']],
  ])('%s', async (_title, more, status, wanted) => {
    const ann = user()
    const refused = await grant(ann, more)
    expect([refused.status, pointers(refused)]).toEqual([status, wanted])
    expect((await one.ask(`GET /v1/capabilities?subject_id=${ann.id}`)).body.items).toEqual([])
  })
})

describe('administering', () => {
  test('lists in pages, by subject, granter and whether they are active', async () => {
    const ann = user()
    const ids: string[] = []
    for (let count = 0; count < 5; count++) ids.push((await made(ann)).id)
    await one.ask(`DELETE /v1/capabilities/${ids[1]}`)
    const of = `subject_type=user&subject_id=${ann.id}`
    const listed = async (query: string) =>
      (await one.ask(`GET /v1/capabilities?${query}`)).body.items.map(({ id }: { id: string }) => id)
    expect(await listed(of)).toEqual(ids)
    expect(await listed(`${of}&active=true`)).toEqual(ids.filter((id) => id !== ids[1]))
    expect(await listed(`${of}&active=false`)).toEqual([ids[1]])
    expect(await listed(`${of}&granted_by_type=service&granted_by_id=admin`)).toEqual(ids)
    expect(await listed(`${of}&granted_by_id=x`)).toEqual([])
    const first = (await one.ask(`GET /v1/capabilities?${of}&limit=2`)).body
    const next = (await one.ask(`GET /v1/capabilities?${of}&limit=3&cursor=${first.next_cursor}`)).body
    expect([...first.items, ...next.items].map(({ id }) => id)).toEqual(ids)
    expect(next.next_cursor).toBeNull()
  })

  test('revokes: what is revoked can still be read, and stays revoked', async () => {
    const ann = user()
    const { id, version } = await made(ann)
    expect((await one.ask(`DELETE /v1/capabilities/${id}`, { headers: { 'if-match': '"1"' } })).status).toBe(412)
    const headers = { 'if-match': `"${version}"`, 'verdict-reason': 'no longer needed' }
    expect((await one.ask(`DELETE /v1/capabilities/${id}`, { headers })).status).toBe(204)
    expect(await isAllowed(ann)).toBe(false)
    const { body } = await one.ask(`GET /v1/capabilities/${id}`)
    expect(body).toMatchObject({
      active: false,
      revoked_by: { type: 'service', id: 'admin' },
      revoked_at: expect.any(String),
    })
    const again = await one.ask(`DELETE /v1/capabilities/${id}`)
    expect([again.status, again.headers.get('verdict-revision')]).toEqual([204, String(body.version)])
  })

  test('a grant that is sent again is one grant', async () => {
    const ann = user()
    const ask = { body: granted(ann), headers: { 'idempotency-key': name() } }
    const [first, second] = [await one.ask('POST /v1/capabilities', ask), await one.ask('POST /v1/capabilities', ask)]
    expect([second.status, second.body.id]).toEqual([201, first.body.id])
    expect((await one.ask(`GET /v1/capabilities?subject_id=${ann.id}`)).body.items).toHaveLength(1)
  })

  test('the change log has what was granted and what was taken', async () => {
    const { body: before } = await one.ask('GET /v1/capabilities?limit=1')
    expect(before).toBeDefined()
    const { id, version } = await made(user())
    await one.ask(`DELETE /v1/capabilities/${id}`, { headers: { 'verdict-reason': 'enough' } })
    const { items } = (await one.ask(`GET /v1/changes?after_revision=${version - 1}`)).body
    expect(items).toMatchObject([
      { kind: 'capability', key: { id }, operation: 'create', before: null, after: { id } },
      { kind: 'capability', key: { id }, operation: 'delete', before: { id }, after: null, reason: 'enough' },
    ])
  })

  test('an entity that is deleted loses its capabilities, and those for what is within it', async () => {
    const [ann, folder] = [user(), { type: 'folder', id: name() }]
    const path = `/v1/entities/user/${ann.id}`
    await one.ask(`PUT ${path}`, { body: {} })
    await one.ask(`PUT /v1/entities/folder/${folder.id}`, { body: {} })
    const own = await made(ann)
    const within = await made(user(), { resources: [{ type: 'task', within: folder }] })
    expect((await one.ask(`DELETE ${path}`)).status).toBe(204)
    await one.ask(`PUT ${path}`, { body: {} })
    expect(await isAllowed(ann)).toBe(false)
    expect((await one.ask(`DELETE /v1/entities/folder/${folder.id}`)).status).toBe(204)
    for (const { id } of [own, within]) expect((await one.ask(`GET /v1/capabilities/${id}`)).body.active).toBe(false)
  })

  test('a type, and an entity of a bundle, are not taken away under a capability', async () => {
    const type = name()
    await one.ask(`PUT /v1/types/${type}`, { body: {} })
    await made(user(), { resources: [{ type }] })
    expect((await one.ask(`DELETE /v1/types/${type}`)).status).toBe(409)
    const ann = user()
    const bundled = (entities: readonly object[]) => one.ask('PUT /v1/bundle', { body: { verdict: 1, entities } })
    expect((await bundled([ann])).status).toBe(200)
    const { id } = await made(ann)
    const refused = await bundled([])
    expect([refused.status, refused.body.errors[0].detail]).toEqual([422, expect.stringContaining(id)])
    await one.ask(`DELETE /v1/capabilities/${id}`)
    expect((await bundled([])).status).toBe(200)
  })
})

describe('another replica', () => {
  test('follows a grant, and a revocation within 1.2 s; with its revision, at once', async () => {
    const ann = user()
    const { id, version } = await made(ann)
    expect(await isAllowed(ann, { options: { min_revision: version } }, other)).toBe(true)
    const taken = await one.ask(`DELETE /v1/capabilities/${id}`)
    const { ms } = await timed(() =>
      eventually(
        () => isAllowed(ann, {}, other),
        (decision) => !decision,
      ),
    )
    expect(ms).toBeLessThan(1_200)
    const min_revision = Number(taken.headers.get('verdict-revision'))
    expect(await isAllowed(ann, { options: { min_revision } }, other)).toBe(false)
  })

  test('that starts later, or loads anew, has what stands and nothing else', async () => {
    const [ann, bob] = [user(), user()]
    await made(ann)
    const { id } = await made(bob)
    await one.ask(`DELETE /v1/capabilities/${id}`)
    const third = await startService({ database, env })
    try {
      expect([await isAllowed(ann, {}, third), await isAllowed(bob, {}, third)]).toEqual([true, false])
    } finally {
      await third.close()
    }
  })
})

test('one that a hand has spoiled allows nothing, keeps nothing from being loaded, and is shown with why', async () => {
  const [ann, bob] = [user(), user()]
  const { id } = await made(ann)
  await made(bob)
  await database.db.transaction().execute(async (trx) => {
    await sql`select set_config('verdict.tenant', '*', true)`.execute(trx)
    await sql`update capabilities set body = '{"subject": 7}' where id = ${id}::uuid`.execute(trx)
  })
  const third = await startService({ database, env })
  try {
    expect([await isAllowed(ann, {}, third), await isAllowed(bob, {}, third)]).toEqual([false, true])
    const { status, body } = await third.ask(`GET /v1/capabilities/${id}`)
    expect([status, body]).toMatchObject([
      200,
      { id, active: false, stored: { subject: 7 }, quarantined: expect.any(String) },
    ])
    expect((await third.ask(`GET /v1/capabilities?subject_id=${ann.id}`)).body.items).toHaveLength(1)
    expect((await third.ask(`DELETE /v1/capabilities/${id}`)).status).toBe(204)
  } finally {
    await third.close()
  }
})

describe('granting out of what one holds', () => {
  const wide = {
    actions: ['task:*'],
    resources: [{ type: 'task', id: 'batch/**' }],
    constraints: { memory: 4000 },
    delegable: true,
    condition: 'context.hour < 6',
  }
  const night = { context: { hour: 5, requested: { memory: 1000 } } }

  async function holder(more: object = {}) {
    const subject = user()
    const parent = await made(subject, { ...wide, ...more })
    return { subject, parent, key: await keyOf(subject, ['pdp:grantor']) }
  }

  test('a grantor grants a part of it; the condition of the whole holds too', async () => {
    const { parent, key, subject } = await holder()
    const bob = user()
    const answer = await grant(bob, { from: parent.id, constraints: { memory: 1000 }, condition: 'context.ok' }, key)
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    expect(answer.body).toMatchObject({ from: parent.id, granted_by: subject })
    expect(await isAllowed(bob, { context: { hour: 5, ok: true, requested: { memory: 1000 } } })).toBe(true)
    for (const context of [
      { hour: 7, ok: true },
      { hour: 5, ok: false },
      { hour: 5, ok: true, requested: { memory: 1001 } },
    ])
      expect(await isAllowed(bob, { context })).toBe(false)
  })

  test('a comment at the end of a condition hides nothing of the other', async () => {
    const { parent, key } = await holder({ condition: 'context.hour < 6 // at night' })
    const bob = user()
    const more = { from: parent.id, constraints: { memory: 1 }, condition: 'true // always' }
    expect((await grant(bob, more, key)).status).toBe(201)
    expect(await isAllowed(bob, { context: { hour: 7 } })).toBe(false)
    expect(await isAllowed(bob, { context: { hour: 5 } })).toBe(true)
  })

  test.each<readonly [string, object, readonly string[]]>([
    ['another action', { actions: ['task:run', 'data:read'] }, ['/actions/1']],
    ['a wider action', { actions: ['*'] }, ['/actions/0']],
    ['another resource', { resources: [{ type: 'task', id: 'nightly/1' }] }, ['/resources/0']],
    ['all resources of the type', { resources: [{ type: 'task' }] }, ['/resources/0']],
    ['any type', { resources: [{ type: '*', id: 'batch/**' }] }, ['/resources/0']],
    ['a later end', { expires_at: new Date(Date.now() + 7_200_000).toISOString() }, ['/expires_at']],
    ['a higher limit', { constraints: { memory: 4001 } }, ['/constraints/memory']],
    ['without the limit', { constraints: { cpu: 1 } }, ['/constraints/memory']],
    ['out of nothing', { from: undefined }, ['/from']],
    ['out of what is not there', { from: '0190a0a0-0000-7000-8000-000000000000' }, ['/from']],
  ])('and nothing beyond: %s is a 403 that says so', async (_title, more, wanted) => {
    const { parent, key } = await holder()
    const refused = await grant(user(), { from: parent.id, constraints: { memory: 4000 }, ...more }, key)
    expect([refused.status, pointers(refused)]).toEqual([403, wanted])
  })

  test('out of nothing that a group of it holds, nor that somebody else does, nor that is not delegable', async () => {
    const [ann, crew] = [user(), { type: 'group', id: name() }]
    await one.ask(`PUT /v1/entities/user/${ann.id}`, { body: { parents: [crew] } })
    const key = await keyOf(ann, ['pdp:grantor'])
    const fixed = await made(ann, { ...wide, delegable: false })
    const ofGroup = await made(crew, wide)
    const { parent } = await holder()
    for (const { id } of [fixed, ofGroup, parent]) {
      const refused = await grant(user(), { from: id, constraints: { memory: 1 } }, key)
      expect([refused.status, pointers(refused)]).toEqual([403, ['/from']])
    }
  })

  test('what it comes out of, once revoked, takes all of it along, at once, transitively', async () => {
    const { parent, key } = await holder()
    const [bob, cy] = [user(), user()]
    const constraints = { memory: 4000 }
    const second = await grant(bob, { from: parent.id, constraints, delegable: true }, key)
    const third = await grant(cy, { from: second.body.id, constraints }, await keyOf(bob, ['pdp:grantor']))
    expect([second.status, third.status]).toEqual([201, 201])
    expect([await isAllowed(bob, night), await isAllowed(cy, night)]).toEqual([true, true])
    const taken = await one.ask(`DELETE /v1/capabilities/${parent.id}`)
    expect([await isAllowed(bob, night), await isAllowed(cy, night)]).toEqual([false, false])
    const min_revision = Number(taken.headers.get('verdict-revision'))
    expect(await isAllowed(cy, { ...night, options: { min_revision } }, other)).toBe(false)
    const refused = await grant(user(), { from: second.body.id, constraints }, await keyOf(bob, ['pdp:grantor']))
    expect(refused.status).toBe(403)
  })

  test('with the entity that held what it comes out of, it goes too', async () => {
    const { parent, key, subject } = await holder()
    const bob = user()
    await one.ask(`PUT /v1/entities/user/${subject.id}`, { body: {} })
    await grant(bob, { from: parent.id, constraints: { memory: 4000 } }, key)
    expect(await isAllowed(bob, night)).toBe(true)
    expect((await one.ask(`DELETE /v1/entities/user/${subject.id}`)).status).toBe(204)
    expect(await isAllowed(bob, night)).toBe(false)
  })

  test('a grantor sees and revokes what is its own, and nothing else', async () => {
    const { parent, key, subject } = await holder()
    const bob = user()
    const mine = (await grant(bob, { from: parent.id, constraints: { memory: 1 } }, key)).body
    const foreign = await made(user())
    const ask = (route: string) => one.ask(route, { key })
    const { items } = (await ask('GET /v1/capabilities?limit=1000')).body
    expect(items.map(({ id }: { id: string }) => id)).toEqual([parent.id, mine.id])
    expect((await ask(`GET /v1/capabilities?subject_id=${foreign.subject.id}`)).body.items).toEqual([])
    expect((await ask(`GET /v1/capabilities/${foreign.id}`)).status).toBe(404)
    expect((await ask(`DELETE /v1/capabilities/${foreign.id}`)).status).toBe(404)
    expect((await ask(`DELETE /v1/capabilities/${parent.id}`)).status).toBe(403)
    expect((await ask(`DELETE /v1/capabilities/${mine.id}`)).status).toBe(204)
    expect((await one.ask(`GET /v1/capabilities/${mine.id}`)).body.revoked_by).toEqual(subject)
  })
})
