import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let decider: string

beforeAll(async () => {
  verdict = await startService()
  decider = await verdict.keyWith(['pdp:decider'])
  const body = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
  await verdict.ask('PUT /v1/rules/everything', { body })
})
afterAll(() => verdict.close())

let counted = 0
/** A quota about a type of resource that nothing else is about, and what asks about it. */
async function quota(members: object) {
  const type = `thing-${++counted}`
  const name = `quota-${counted}`
  const body = { subjects: [{ any: true }], actions: ['*'], resources: [{ type }], ...members }
  const put = await verdict.ask(`PUT /v1/quotas/${name}`, { body })
  expect([put.status, put.body.errors]).toEqual([201, undefined])
  const ask = async (requested: object | undefined = undefined, subject = 'ann', resource = '1') => {
    const context = requested === undefined ? {} : { requested }
    const question = {
      subject: { type: 'user', id: subject },
      action: { name: 'use' },
      resource: { type, id: resource },
    }
    return (await verdict.ask('POST /v1/authorize', { key: decider, body: { ...question, context } })).body
  }
  return { name, type, body, ask }
}

const reasons = (answers: readonly { context: { reason: string } }[]) => answers.map(({ context }) => context.reason)

describe('a static limit', () => {
  test('is compared with what the request says', async () => {
    const { name, ask } = await quota({ requested: 'memory', limit: 4000 })
    expect((await ask({ memory: 4000 })).context.quotas).toEqual([{ name, limit: 4000, remaining: 0, reset_at: null }])
    expect((await ask({ memory: 1000.5 })).context.quotas[0].remaining).toBe(2999.5)
    const refused = await ask({ memory: 4000.1 })
    expect([refused.decision, refused.context.reason, refused.context.rules]).toEqual([
      false,
      'quota_exceeded',
      ['default/everything'],
    ])
    expect(refused.context.quotas).toEqual([{ name, limit: 4000, remaining: 0, reset_at: null, exceeded: true }])
  })

  test('asks nothing of a request that says nothing', async () => {
    const { ask } = await quota({ requested: 'memory', limit: 1 })
    expect(reasons([await ask(), await ask({}), await ask({ cpu: 9 })])).toEqual(Array(3).fill('allowed_by_rule'))
  })

  test.each([['10'], [null], [-1], [true], [[1]], [{}]])('is not kept by %j, which is no amount', async (memory) => {
    const { ask } = await quota({ requested: 'memory', limit: 100 })
    expect((await ask({ memory })).context.reason).toBe('quota_exceeded')
  })

  test('is not kept where nobody can tell what is requested', async () => {
    const { type } = await quota({ requested: 'memory', limit: 100 })
    const question = { subject: { type: 'user', id: 'a' }, action: { name: 'use' }, resource: { type, id: '1' } }
    for (const requested of ['memory', 5, [5]]) {
      const { body } = await verdict.ask('POST /v1/authorize', { body: { ...question, context: { requested } } })
      expect(body.context.reason).toBe('quota_exceeded')
    }
  })

  test('is judged before counters, which then lose nothing', async () => {
    const { type, ask } = await quota({ window_seconds: 86_400, limit: 2 })
    const body = { subjects: [{ any: true }], actions: ['*'], resources: [{ type }], requested: 'memory', limit: 1 }
    await verdict.ask('PUT /v1/quotas/a-static-one', { body })
    for (let n = 0; n < 5; n++) expect((await ask({ memory: 2 })).context.reason).toBe('quota_exceeded')
    expect(reasons([await ask({ memory: 1 }), await ask({}), await ask({})])).toEqual([
      'allowed_by_rule',
      'allowed_by_rule',
      'quota_exceeded',
    ])
  })
})

describe('a counter', () => {
  const day = { window_seconds: 86_400 }

  test('is taken from by each decision that is allowed, and says what is left', async () => {
    const { name, ask } = await quota({ ...day, limit: 3 })
    const answers = [await ask(), await ask(), await ask(), await ask()]
    expect(reasons(answers)).toEqual([...Array(3).fill('allowed_by_rule'), 'quota_exceeded'])
    const reset_at = new Date((Math.floor(Date.now() / 86_400_000) + 1) * 86_400_000).toISOString()
    const use = { name, limit: 3, reset_at, units: 1 }
    expect(answers.flatMap(({ context }) => context.quotas)).toEqual([
      { ...use, remaining: 2 },
      { ...use, remaining: 1 },
      { ...use, remaining: 0 },
      { ...use, remaining: 0, exceeded: true },
    ])
  })

  test('is left alone by what the rules deny', async () => {
    const { type, ask } = await quota({ ...day, limit: 1 })
    const body = { effect: 'deny', subjects: [{ type: 'user', id: 'bob' }], actions: ['*'], resources: [{ type }] }
    await verdict.ask(`PUT /v1/rules/not-${type}`, { body })
    const denied = await ask({}, 'bob')
    expect([denied.context.reason, denied.context.quotas]).toEqual(['denied_by_rule', undefined])
    expect((await ask()).decision).toBe(true)
  })

  test('counts for each subject by itself, unless it says otherwise', async () => {
    const own = await quota({ ...day, limit: 1 })
    expect(reasons([await own.ask({}, 'ann'), await own.ask({}, 'bob'), await own.ask({}, 'ann', '2')])).toEqual([
      'allowed_by_rule',
      'allowed_by_rule',
      'quota_exceeded',
    ])
    const resource = await quota({ ...day, limit: 1, per: 'resource' })
    expect(
      reasons([await resource.ask({}, 'ann'), await resource.ask({}, 'bob', '2'), await resource.ask({}, 'bob')]),
    ).toEqual(['allowed_by_rule', 'allowed_by_rule', 'quota_exceeded'])
    const tenant = await quota({ ...day, limit: 1, per: 'tenant' })
    expect(reasons([await tenant.ask({}, 'ann'), await tenant.ask({}, 'bob', '2')])).toEqual([
      'allowed_by_rule',
      'quota_exceeded',
    ])
  })

  test('of a group counts for each of its members', async () => {
    await verdict.ask('PUT /v1/entities/user/eng-1', { body: { parents: [{ type: 'group', id: 'eng' }] } })
    await verdict.ask('PUT /v1/entities/user/eng-2', { body: { parents: [{ type: 'group', id: 'eng' }] } })
    const { ask } = await quota({ ...day, limit: 1, subjects: [{ type: 'group', id: 'eng' }] })
    expect(reasons([await ask({}, 'eng-1'), await ask({}, 'eng-2'), await ask({}, 'eng-1')])).toEqual([
      'allowed_by_rule',
      'allowed_by_rule',
      'quota_exceeded',
    ])
    expect((await ask({}, 'somebody')).context.quotas).toBeUndefined()
  })

  test('for a role counts for whoever holds it', async () => {
    await verdict.ask('PUT /v1/roles/trial', { body: {} })
    await verdict.ask('POST /v1/assignments', { body: { subject: { type: 'user', id: 'tom' }, role: 'trial' } })
    const { ask } = await quota({ ...day, limit: 1, subjects: [{ role: 'trial' }] })
    expect(reasons([await ask({}, 'tom'), await ask({}, 'tom'), await ask({}, 'ann')])).toEqual([
      'allowed_by_rule',
      'quota_exceeded',
      'allowed_by_rule',
    ])
  })

  test('takes as many units as the request says', async () => {
    const { ask } = await quota({ ...day, limit: 10, cost: 'tokens' })
    expect((await ask({ tokens: 7 })).context.quotas[0]).toMatchObject({ units: 7, remaining: 3 })
    expect((await ask({ tokens: 4 })).context.quotas[0]).toMatchObject({ units: 4, remaining: 3, exceeded: true })
    expect((await ask({ tokens: 0 })).context.quotas[0]).toMatchObject({ units: 0, remaining: 3 })
    expect((await ask()).context.quotas[0]).toMatchObject({ units: 1, remaining: 2 })
    expect((await ask({ tokens: 2 })).context.quotas[0]).toMatchObject({ units: 2, remaining: 0 })
  })

  test.each([[1.5], [-1], ['1'], [null], [2 ** 53 - 1]])('is not taken from by %j units', async (tokens) => {
    const { ask } = await quota({ ...day, limit: 10, cost: 'tokens' })
    expect((await ask({ tokens })).context.reason).toBe('quota_exceeded')
    expect((await ask({ tokens: 10 })).decision).toBe(true)
  })

  test('is taken from together with all others, or not at all', async () => {
    const { type, ask } = await quota({ ...day, limit: 2 })
    const about = { subjects: [{ any: true }], actions: ['*'], resources: [{ type }] }
    const wide = { ...about, ...day, per: 'tenant', limit: 3 }
    await verdict.ask(`PUT /v1/quotas/wide-${type}`, { body: wide })
    const came = [await ask(), await ask(), await ask(), await ask(), await ask({}, 'bob'), await ask({}, 'bob')]
    // What ann was refused has cost the tenant nothing.
    expect(came.map(({ decision }) => decision)).toEqual([true, true, false, false, true, false])
  })

  test('is taken from by the items of a batch in their order', async () => {
    const { type } = await quota({ ...day, limit: 2 })
    const item = { subject: { type: 'user', id: 'ann' }, action: { name: 'use' }, resource: { type, id: '1' } }
    const { body } = await verdict.ask('POST /v1/authorize/batch', {
      body: { ...item, evaluations: Array(4).fill({}) },
    })
    expect([body.decision, body.evaluations.map(({ decision }: { decision: boolean }) => decision)]).toEqual([
      false,
      [true, true, false, false],
    ])
    const options = { reasons: true }
    const access = await verdict.ask('POST /access/v1/evaluation', { body: { ...item, options } })
    // How much is left differs between equal requests, and AuthZEN's answers to those are equal in every byte.
    expect(access.body.context).toEqual({ reason: 'quota_exceeded', rules: ['default/everything'] })
  })

  test('is taken from by nobody who only explains or searches', async () => {
    const { type, ask } = await quota({ ...day, limit: 1 })
    const body = { subject: { type: 'user', id: 'ann' }, action: { name: 'use' }, resource: { type, id: '1' } }
    const explain = async () => (await verdict.ask('POST /v1/authorize/explain', { body })).body
    for (let n = 0; n < 3; n++) {
      expect((await explain()).context).toMatchObject({ reason: 'allowed_by_rule', quotas: [{ remaining: null }] })
      const search = { ...body, subject: { type: 'user' } }
      expect((await verdict.ask('POST /access/v1/search/subject', { body: search })).status).toBe(200)
    }
    expect((await ask()).decision).toBe(true)
    expect((await explain()).context).toMatchObject({ reason: 'quota_exceeded', quotas: [{ remaining: 0 }] })
  })

  test.each([[undefined], ['read_only']])(
    'is taken from by who comes with a context, of the level %s',
    async (level) => {
      const subject = { type: 'user', id: `carried-${level}` }
      await verdict.ask(`PUT /v1/entities/user/${subject.id}`, { body: { properties: { level: 'admin' } } })
      const { type, name } = await quota({ ...day, limit: 2 })
      const made = await verdict.ask('POST /v1/contexts', { body: { subject, ...(level && { level }) } })
      expect(made.status).toBe(201)
      const question = {
        subject: { context_token: made.body.token },
        action: { name: 'use' },
        resource: { type, id: '1' },
      }
      const ask = async () => (await verdict.ask('POST /v1/authorize', { body: question })).body
      const came = [await ask(), await ask(), await ask()]
      expect(reasons(came)).toEqual(['allowed_by_rule', 'allowed_by_rule', 'quota_exceeded'])
      expect(came[1].context.quotas).toMatchObject([{ name, remaining: 0 }])
    },
  )

  test('keeps its count where its limit changes', async () => {
    const { name, body, ask } = await quota({ ...day, limit: 3 })
    for (let n = 0; n < 3; n++) expect((await ask()).decision).toBe(true)
    await verdict.ask(`PUT /v1/quotas/${name}`, { body: { ...body, limit: 2 } })
    expect((await ask()).context).toMatchObject({ reason: 'quota_exceeded', quotas: [{ limit: 2, remaining: 0 }] })
    await verdict.ask(`PUT /v1/quotas/${name}`, { body: { ...body, limit: 5 } })
    expect(reasons([await ask(), await ask(), await ask()])).toEqual([
      'allowed_by_rule',
      'allowed_by_rule',
      'quota_exceeded',
    ])
    await verdict.ask(`DELETE /v1/quotas/${name}`)
    expect((await ask()).context.quotas).toBeUndefined()
    await verdict.ask(`PUT /v1/quotas/${name}`, { body: { ...body, limit: 5 } })
    expect((await ask()).context.reason).toBe('quota_exceeded')
    await verdict.ask(`PUT /v1/quotas/${name}`, { body: { ...body, limit: 5, enabled: false } })
    expect((await ask()).context.quotas).toBeUndefined()
  })

  test('tells its usage', async () => {
    const { name, ask } = await quota({ ...day, limit: 10 })
    await ask()
    await ask()
    const usage = (query: string) => verdict.ask(`GET /v1/quotas/${name}/usage?${query}`)
    expect((await usage('subject_type=user&subject_id=ann')).body).toMatchObject({ name, limit: 10, used: 2 })
    expect((await usage('subject_type=user&subject_id=bob')).body).toMatchObject({
      used: 0,
      reserved: 0,
      remaining: 10,
    })
    expect((await usage('')).body.errors[0].pointer).toBe('/subject_id')
    expect((await usage('subject_type=user&subject_id=a&resource_id=1')).body.errors[0].pointer).toBe('/resource_id')
    const fixed = await quota({ requested: 'memory', limit: 10 })
    expect((await verdict.ask(`GET /v1/quotas/${fixed.name}/usage`)).status).toBe(422)
  })

  test('is named in the record of the decision', async () => {
    const { name, ask } = await quota({ ...day, limit: 1 })
    const [allowed, refused] = [await ask(), await ask()]
    const record = async (id: string) =>
      (
        await eventually(
          () => verdict.ask(`GET /v1/audit/${id}`),
          ({ status }) => status === 200,
        )
      ).body
    expect(await record(allowed.context.decision_id)).toMatchObject({ quotas: [{ name, units: 1, remaining: 0 }] })
    expect(await record(refused.context.decision_id)).toMatchObject({
      reason: 'quota_exceeded',
      quotas: [{ name, exceeded: true }],
    })
  })
})

describe('what a decision took', () => {
  const day = { window_seconds: 86_400 }
  const refund = (name: string, body: object, key = decider) =>
    verdict.ask(`POST /v1/quotas/${name}/refund`, { key, body })

  test('can be given back once', async () => {
    const { name, ask } = await quota({ ...day, limit: 1 })
    const { context } = await ask()
    expect((await ask()).decision).toBe(false)
    const { decision_id } = context
    const given = await refund(name, { decision_id })
    expect([given.status, given.body]).toEqual([
      200,
      { name, decision_id, units: 1, reset_at: context.quotas[0].reset_at },
    ])
    expect((await refund(name, { decision_id })).status).toBe(409)
    expect(reasons([await ask(), await ask()])).toEqual(['allowed_by_rule', 'quota_exceeded'])
  })

  test('can be given back by 20 at once, and once', async () => {
    const { name, ask } = await quota({ ...day, limit: 5 })
    const { decision_id } = (await ask()).context
    const all = await Promise.all(Array.from({ length: 20 }, () => refund(name, { decision_id })))
    expect(all.filter(({ status }) => status === 200).length).toBe(1)
    expect(all.filter(({ status }) => status === 409).length).toBe(19)
  })

  test('can be given back in part, and never more than that', async () => {
    const { name, ask } = await quota({ ...day, limit: 10, cost: 'tokens' })
    const { decision_id } = (await ask({ tokens: 8 })).context
    const tooMany = await refund(name, { decision_id, units: 9 })
    expect([tooMany.status, tooMany.body.errors[0].pointer]).toEqual([422, '/units'])
    expect((await refund(name, { decision_id, units: 5 })).body.units).toBe(5)
    expect((await ask({ tokens: 8 })).decision).toBe(false)
    expect((await ask({ tokens: 7 })).decision).toBe(true)
  })

  test('is nothing where it was refused, explained, of another quota, or never made', async () => {
    const { name, type, ask } = await quota({ ...day, limit: 1 })
    const other = await quota({ ...day, limit: 1 })
    const allowed = (await ask()).context.decision_id
    const refused = (await ask()).context.decision_id
    const question = { subject: { type: 'user', id: 'eve' }, action: { name: 'use' }, resource: { type, id: '1' } }
    const explained = (await verdict.ask('POST /v1/authorize/explain', { body: question })).body.context.decision_id
    for (const [of, decision_id] of [
      [name, refused],
      [name, explained],
      [other.name, allowed],
    ]) {
      const { status, body } = await refund(of, { decision_id })
      expect([status, body.errors[0].pointer]).toEqual([422, '/decision_id'])
    }
    // A caller can put anything into its own context: not where units stand.
    const forged = { ...question, context: { quotas: [{ name, units: 1 }] }, resource: { type: 'elsewhere', id: '1' } }
    const { decision_id } = (await verdict.ask('POST /v1/authorize', { body: forged })).body.context
    expect((await refund(name, { decision_id })).status).toBe(422)
    expect((await refund(name, { decision_id: '01890000-0000-7000-8000-000000000000' })).status).toBe(404)
    expect((await refund('no-such-quota', { decision_id: allowed })).status).toBe(404)
    for (const units of [0, -1, 1.5]) expect((await refund(name, { decision_id: allowed, units })).status).toBe(400)
  })

  test('is not given back after its window', async () => {
    const { name, ask } = await quota({ ...day, limit: 1 })
    const { decision_id } = (await ask()).context
    await eventually(
      () => verdict.ask(`GET /v1/audit/${decision_id}`),
      ({ status }) => status === 200,
    )
    // As if it had been decided two days ago.
    await sql`set session_replication_role = replica`.execute(verdict.database.db)
    await sql`
      update audit set record = convert_to(regexp_replace(convert_from(record, 'UTF8'), '"reset_at":"[^"]*"',
        '"reset_at":"2020-01-01T00:00:00.000Z"'), 'UTF8') where id = ${decision_id}`.execute(verdict.database.db)
    const { status, body } = await refund(name, { decision_id })
    expect([status, body.errors[0]]).toMatchObject([422, { pointer: '/decision_id' }])
  })

  test('is given back by who decides, not by who makes policy', async () => {
    const { name, ask } = await quota({ ...day, limit: 1 })
    const { decision_id } = (await ask()).context
    const key = await verdict.keyWith(['pdp:policy_admin'])
    expect((await refund(name, { decision_id }, key)).status).toBe(403)
    expect((await verdict.ask(`PUT /v1/quotas/${name}`, { key: decider, body: {} })).status).toBe(403)
    expect((await verdict.ask(`DELETE /v1/quotas/${name}`, { key: decider })).status).toBe(403)
  })

  test('is taken by what an operation was allowed, although the whole was denied, and given back by that permission', async () => {
    const { name, type, ask } = await quota({ ...day, limit: 1 })
    const operations = { 'thing.use': { action: 'use', resource_type: type } }
    expect((await verdict.ask('PUT /v1/settings', { body: { operations } })).status).toBe(200)
    const permissions = [
      { kind: 'thing.use', target: '1' },
      { kind: 'thing.unmapped', target: '1' },
    ]
    const body = { subject: { type: 'user', id: 'ann' }, permissions }
    const operation = (await verdict.ask('POST /v1/authorize/operation', { key: decider, body })).body
    expect([operation.decision, operation.context.reason]).toEqual([false, 'unmapped_operation'])
    expect((await ask()).context.reason).toBe('quota_exceeded')
    const [used] = operation.permissions
    expect([used.decision, (await refund(name, { decision_id: operation.context.decision_id })).status]).toEqual([
      true,
      422,
    ])
    expect((await refund(name, { decision_id: used.context.decision_id })).status).toBe(200)
    expect((await ask()).decision).toBe(true)
  })
})

describe('a quota that is none is refused', () => {
  const about = { subjects: [{ any: true }], actions: ['*'], resources: [{ type: 'x' }] }
  const day = { ...about, window_seconds: 86_400, limit: 1 }
  test.each([
    ['/limit', { ...day, limit: 0 }],
    ['/limit', { ...day, limit: -1 }],
    ['/limit', { ...day, limit: 1.5 }],
    ['/window_seconds', { ...day, window_seconds: 59 }],
    ['/window_seconds', { ...day, window_seconds: 60.5 }],
    ['/window_seconds', { ...day, window_seconds: 31 * 86_400 + 1 }],
    ['/window_seconds', { ...day, requested: 'memory' }],
    ['', { ...about, limit: 1 }],
    ['/cost', { ...about, limit: 1, requested: 'memory', cost: 'units' }],
    ['/subjects/0/role', { ...day, subjects: [{ role: 'no-such-role' }] }],
    ['/resources/0/type', { ...day, resources: [{ type: 'pdp:rule' }] }],
    ['/resources/0/id', { ...day, resources: [{ type: 'x', id: 'y\\' }] }],
  ])('%s in %j', async (pointer, body) => {
    const refused = await verdict.ask('PUT /v1/quotas/wrong', { body })
    expect([refused.status, refused.body.errors.map((one: { pointer: string }) => one.pointer)]).toEqual([
      422,
      [pointer],
    ])
    expect((await verdict.ask('GET /v1/quotas/wrong')).status).toBe(404)
  })

  test.each([2 ** 53, 1e300])('a limit of %d, before anybody looks at what it is for', async (limit) => {
    const refused = await verdict.ask('PUT /v1/quotas/wrong', { body: { ...day, limit } })
    expect([refused.status, refused.body.detail]).toEqual([400, expect.stringContaining('number')])
    expect((await verdict.ask('GET /v1/quotas/wrong')).status).toBe(404)
  })

  test('the largest limit and the longest window are some', async () => {
    const body = { ...about, limit: 2 ** 53 - 1, window_seconds: 31 * 86_400 }
    expect((await verdict.ask('PUT /v1/quotas/largest', { body })).status).toBe(201)
    const question = { subject: { type: 'user', id: 'a' }, action: { name: 'use' }, resource: { type: 'x', id: '1' } }
    const { context } = (await verdict.ask('POST /v1/authorize', { body: question })).body
    expect(context.quotas).toMatchObject([{ name: 'largest', remaining: 2 ** 53 - 2 }])
  })
})

test('what a quota names cannot be deleted', async () => {
  await verdict.ask('PUT /v1/roles/limited', { body: {} })
  await verdict.ask('PUT /v1/types/limited', { body: {} })
  await verdict.ask('PUT /v1/entities/user/limited', { body: {} })
  const body = {
    subjects: [{ role: 'limited' }, { type: 'user', id: 'limited' }],
    actions: ['*'],
    resources: [{ type: 'limited' }],
    limit: 1,
    window_seconds: 60,
  }
  expect((await verdict.ask('PUT /v1/quotas/naming', { body })).status).toBe(201)
  for (const thing of ['roles/limited', 'types/limited', 'entities/user/limited']) {
    const { status, body: problem } = await verdict.ask(`DELETE /v1/${thing}`)
    expect([thing, status, problem.detail]).toEqual([thing, 409, expect.stringContaining('quota naming')])
  }
  const bundle = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, roles: [], types: [] } })
  expect([bundle.status, JSON.stringify(bundle.body.errors)]).toEqual([422, expect.stringContaining('quota naming')])
  await verdict.ask('DELETE /v1/quotas/naming')
  for (const thing of ['roles/limited', 'types/limited', 'entities/user/limited']) {
    expect((await verdict.ask(`DELETE /v1/${thing}`)).status).toBe(204)
  }
})

test('a quota is policy: it has a version, a revision and a place in the change log', async () => {
  const body = { subjects: [{ any: true }], actions: ['a'], resources: [{ type: 'logged' }], requested: 'm', limit: 1 }
  const put = await verdict.ask('PUT /v1/quotas/logged', { body })
  const revision = Number(put.headers.get('verdict-revision'))
  expect(put.headers.get('etag')).toBe(`"${revision}"`)
  const again = await verdict.ask('PUT /v1/quotas/logged', { body })
  expect([again.status, again.headers.get('verdict-revision')]).toEqual([200, String(revision)])
  const stale = await verdict.ask('PUT /v1/quotas/logged', { body, headers: { 'if-match': '"1"' } })
  expect(stale.status).toBe(412)
  const { items } = (await verdict.ask(`GET /v1/changes?after_revision=${revision - 1}`)).body
  expect(items).toMatchObject([
    { kind: 'quota', key: { name: 'logged' }, operation: 'create', after: { per: 'subject' } },
  ])
  const list = await verdict.ask('GET /v1/quotas?limit=1000')
  expect(list.body.items.map(({ name }: { name: string }) => name)).toContain('logged')
})

test('a quota that a hand has spoiled lets nothing through that it could be about', async () => {
  const { name, type, ask } = await quota({ window_seconds: 60, limit: 1000 })
  await sql`update quotas set body = body - 'limit' where name = ${name}`.execute(verdict.database.db)
  const { VERDICT_DATA_DIR: _own, ...env } = verdict.env
  const restarted = await startService({ database: verdict.database, env })
  try {
    const question = { subject: { type: 'user', id: 'ann' }, action: { name: 'use' }, resource: { type, id: '1' } }
    const { body } = await restarted.ask('POST /v1/authorize', { body: question })
    expect([body.decision, body.context.reason]).toEqual([false, 'quota_exceeded'])
    expect((await restarted.ask(`GET /v1/quotas/${name}`)).body.quarantined).toContain('limit')
    expect((await restarted.ask('GET /readyz')).status).toBe(200)
  } finally {
    await restarted.close()
  }
  expect((await ask()).decision).toBe(true)
})
