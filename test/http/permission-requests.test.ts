import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, type Reply, startService, type TestService } from '../support/service.ts'

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

let names = 0
const name = () => `n${++names}`
const user = (id = name()) => ({ type: 'user', id })
type Subject = { readonly type: string; readonly id: string }

interface Person {
  readonly subject: Subject
  readonly key: string
}

/** Somebody with a key of these roles, made by `by`: an operator who acts here, unless it is said. */
async function person(roles: readonly string[], by?: Person, subject: Subject = user()): Promise<Person> {
  const headers = by === undefined ? { 'verdict-tenant': 'default' } : {}
  const body = { name: 'k', subject, roles }
  const made = await verdict.ask('POST /v1/api-keys', { body, key: by?.key ?? verdict.rootKey, headers })
  expect(made.status).toBe(201)
  return { subject, key: made.body.key }
}

const requester = () => person(['pdp:requester'])
const approver = () => person(['pdp:approver'])

const WANTED = {
  actions: ['net:connect', 'net:listen'],
  resources: [{ type: 'host', id: 'api.example/**' }],
  constraints: { requests: 100 },
  duration_seconds: 3600,
  justification: 'calls the weather service',
}
const asking = (more: object = {}) => ({ ...WANTED, ...more })

const ask = (by: Person, more: object = {}) =>
  verdict.ask('POST /v1/permission-requests', { body: asking(more), key: by.key })
const decide = (by: Person, id: string, how: 'approve' | 'refuse', body: object = {}) =>
  verdict.ask(`POST /v1/permission-requests/${id}/${how}`, { body, key: by.key })
const get = (id: string, by?: Person) =>
  verdict.ask(`GET /v1/permission-requests/${id}`, by === undefined ? {} : { key: by.key })

async function asked(by: Person, more: object = {}): Promise<Reply['body']> {
  const { status, body } = await ask(by, more)
  expect([status, body.detail]).toEqual([201, undefined])
  return body
}

async function connect(subject: Subject, more: object = {}): Promise<Reply['body']> {
  const body = {
    subject,
    action: { name: 'net:connect' },
    resource: { type: 'host', id: 'api.example/v1' },
    ...more,
  }
  return (await verdict.ask('POST /v1/authorize', { body })).body
}

const pointers = ({ body }: Reply) => body.errors?.map(({ pointer }: { pointer: string }) => pointer)
const ids = ({ body }: Reply): string[] => body.items.map(({ id }: { id: string }) => id)

describe('a permission request', () => {
  test('gives nothing until somebody else approves it; then it is a capability', async () => {
    const [plugin, bob] = [await requester(), await approver()]
    const { id, version, ...request } = await asked(plugin)
    expect(request).toMatchObject({
      ...WANTED,
      subject: plugin.subject,
      asked_by: plugin.subject,
      state: 'pending',
      condition: null,
      decision: null,
    })
    expect(Date.parse(request.lapses_at) - Date.parse(request.created_at)).toBe(7 * 86_400_000)
    expect((await connect(plugin.subject)).decision).toBe(false)
    const approved = await decide(bob, id, 'approve', { reason: 'looks right' })
    expect(approved.status, JSON.stringify(approved.body)).toBe(200)
    const { capability, granted, ...decision } = approved.body.decision
    expect(approved.body.state).toBe('approved')
    expect(decision).toEqual({ by: bob.subject, at: expect.any(String), reason: 'looks right' })
    expect(granted).toEqual({ ...WANTED, justification: undefined })
    expect(await connect(plugin.subject)).toMatchObject({
      decision: true,
      context: {
        rules: [`capabilities/${capability}`],
        obligations: [{ id: `capabilities/${capability}`, type: 'limits', properties: WANTED.constraints }],
        revision: approved.body.version,
      },
    })
    const { body } = await verdict.ask(`GET /v1/capabilities/${capability}`)
    expect(body).toMatchObject({
      subject: plugin.subject,
      granted_by: bob.subject,
      justification: WANTED.justification,
      request: id,
      delegable: false,
    })
    expect(Date.parse(body.expires_at) - Date.parse(body.granted_at)).toBe(3_600_000)
    await verdict.ask(`DELETE /v1/capabilities/${capability}`)
    expect((await connect(plugin.subject)).decision).toBe(false)
    expect(version).toBeLessThan(approved.body.version)
  })

  test('may be for a subject that is named, and have a condition, which stays', async () => {
    const [ann, bob, plugin] = [await requester(), await approver(), { type: 'plugin', id: name() }]
    const { id } = await asked(ann, { subject: plugin, condition: 'context.mfa' })
    expect((await decide(bob, id, 'approve')).status).toBe(200)
    expect((await connect(plugin, { context: { mfa: true } })).decision).toBe(true)
    expect((await connect(plugin, { context: { mfa: false } })).decision).toBe(false)
    expect((await connect(ann.subject, { context: { mfa: true } })).decision).toBe(false)
  })

  test('is approved in part', async () => {
    const [ann, bob] = [await requester(), await approver()]
    const { id } = await asked(ann)
    const part = {
      actions: ['net:connect'],
      resources: [{ type: 'host', id: 'api.example/v1' }],
      constraints: { requests: 10, bytes: 1000 },
      duration_seconds: 60,
    }
    const { status, body } = await decide(bob, id, 'approve', part)
    expect([status, body.decision.granted]).toEqual([200, part])
    expect((await connect(ann.subject)).decision).toBe(true)
    expect((await connect(ann.subject, { resource: { type: 'host', id: 'api.example/v2' } })).decision).toBe(false)
    expect((await connect(ann.subject, { action: { name: 'net:listen' } })).decision).toBe(false)
  })

  test.each<readonly [string, object, readonly string[]]>([
    ['another action', { actions: ['net:connect', 'fs:read'] }, ['/actions/1']],
    ['a wider action', { actions: ['net:*'] }, ['/actions/0']],
    ['another resource', { resources: [{ type: 'host', id: 'other.example/v1' }] }, ['/resources/0']],
    ['a higher limit', { constraints: { requests: 101 } }, ['/constraints/requests']],
    ['without the limit', { constraints: {} }, ['/constraints/requests']],
    ['for longer', { duration_seconds: 3601 }, ['/duration_seconds']],
  ])('is not approved beyond what was asked: %s', async (_title, more, wanted) => {
    const [ann, bob] = [await requester(), await approver()]
    const { id } = await asked(ann)
    const refused = await decide(bob, id, 'approve', more)
    expect([refused.status, pointers(refused)]).toEqual([422, wanted])
    expect((await get(id)).body.state).toBe('pending')
    expect((await connect(ann.subject)).decision).toBe(false)
  })

  test.each<readonly [string, object, number, readonly string[]]>([
    ['without a justification', { justification: undefined }, 400, ['/justification']],
    ['for no time', { duration_seconds: 0 }, 400, ['/duration_seconds']],
    ['for actions of Verdict', { actions: ['pdp:write'] }, 422, ['/actions/0']],
    ['about Verdict', { resources: [{ type: 'pdp:rule' }] }, 422, ['/resources/0/type']],
    ['with a condition that is none', { condition: '(' }, 422, ['/condition']],
    ['that says who asks', { asked_by: { type: 'user', id: 'x' } }, 400, ['/asked_by']],
  ])('is refused at once: %s', async (_title, more, status, wanted) => {
    const refused = await ask(await requester(), more)
    expect([refused.status, pointers(refused)]).toEqual([status, wanted])
  })

  test('is refused with a reason, or withdrawn by who asked it, and then stays so', async () => {
    const [ann, bob, cy] = [await requester(), await approver(), await requester()]
    const first = await asked(ann)
    expect((await decide(bob, first.id, 'refuse', {})).status).toBe(400)
    const refused = await decide(bob, first.id, 'refuse', { reason: 'not in production' })
    expect(refused.body).toMatchObject({ state: 'refused', decision: { by: bob.subject, reason: 'not in production' } })
    const second = await asked(ann)
    const withdraw = (by: Person) => verdict.ask(`POST /v1/permission-requests/${second.id}/withdraw`, { key: by.key })
    expect((await withdraw(cy)).status).toBe(404)
    expect((await verdict.ask(`POST /v1/permission-requests/${second.id}/withdraw`)).status).toBe(403)
    expect((await withdraw(ann)).body).toMatchObject({ state: 'withdrawn', decision: { by: ann.subject } })
    for (const { id } of [first, second]) {
      expect((await decide(bob, id, 'approve')).status).toBe(409)
      expect((await decide(bob, id, 'refuse', { reason: 'x' })).status).toBe(409)
    }
    expect((await withdraw(ann)).status).toBe(409)
    expect((await connect(ann.subject)).decision).toBe(false)
  })

  test('that nobody decides lapses, by the second', async () => {
    const [ann, bob] = [await requester(), await approver()]
    const { id } = await asked(ann)
    const lapse = (lapses_at: Date) =>
      verdict.database.db.transaction().execute((trx) =>
        sql`
            with told as (select set_config('verdict.tenant', '*', true))
            update permission_requests
            set lapses_at = ${lapses_at}, body = body || jsonb_build_object('lapses_at', ${lapses_at.toISOString()}::text)
            where id = ${id}::uuid and exists (select from told)`.execute(trx),
      )
    await lapse(new Date(Date.now() - 1_000))
    expect((await get(id)).body.state).toBe('expired')
    expect(ids(await verdict.ask(`GET /v1/permission-requests?state=expired&subject_id=${ann.subject.id}`))).toEqual([
      id,
    ])
    expect(ids(await verdict.ask(`GET /v1/permission-requests?state=pending&subject_id=${ann.subject.id}`))).toEqual([])
    expect((await decide(bob, id, 'approve')).status).toBe(409)
    expect((await verdict.ask(`POST /v1/permission-requests/${id}/withdraw`, { key: ann.key })).status).toBe(409)
  })
})

describe('who decides', () => {
  test('is not who asked, whatever else it may do', async () => {
    const both = await person(['pdp:requester', 'pdp:approver', 'pdp:policy_admin'])
    const { id } = await asked(both)
    expect((await decide(both, id, 'approve')).status).toBe(403)
    expect((await decide(both, id, 'refuse', { reason: 'x' })).status).toBe(403)
    expect((await get(id)).body.state).toBe('pending')
  })

  test('is not who asked, by another of its keys', async () => {
    const ann = await requester()
    const other = await person(['pdp:approver'], undefined, ann.subject)
    const { id } = await asked(ann, { subject: user() })
    expect((await decide(other, id, 'approve')).status).toBe(403)
  })

  test('is not whom it is for, nor a member of the group that it is for', async () => {
    const [ann, bob, cy, crew] = [await requester(), await approver(), await approver(), { type: 'group', id: name() }]
    const forBob = await asked(ann, { subject: bob.subject })
    expect((await decide(bob, forBob.id, 'approve')).status).toBe(403)
    await verdict.ask(`PUT /v1/entities/group/inner-${crew.id}`, { body: { parents: [crew] } })
    const inner = { parents: [{ type: 'group', id: `inner-${crew.id}` }] }
    expect((await verdict.ask(`PUT /v1/entities/user/${cy.subject.id}`, { body: inner })).status).toBe(201)
    const forCrew = await asked(ann, { subject: crew })
    expect((await decide(cy, forCrew.id, 'approve')).status).toBe(403)
    expect((await decide(bob, forCrew.id, 'approve')).status).toBe(200)
  })

  test('has no credential that the asker made', async () => {
    const admin = await person(['pdp:admin'])
    const puppet = await person(['pdp:approver'], admin)
    const { id } = await asked(admin)
    expect((await decide(puppet, id, 'approve')).status).toBe(403)
    // A key that takes the place of another is its maker's.
    const own = await approver()
    const [, key = ''] = own.key.split('_')
    const rotated = await verdict.ask(`POST /v1/api-keys/${key}/rotate`, { key: admin.key, body: {} })
    expect((await decide({ ...own, key: rotated.body.key }, id, 'approve')).status).toBe(403)
    expect((await decide(own, id, 'approve')).status).toBe(200)
  })

  test('has not made the credential that it was asked by', async () => {
    const admin = await person(['pdp:admin'])
    const puppet = await person(['pdp:requester'], admin)
    const { id } = await asked(puppet)
    expect((await decide(admin, id, 'approve')).status).toBe(403)
    expect(ids(await verdict.ask('GET /v1/permission-requests?waiting_for=me', { key: admin.key }))).not.toContain(id)
  })

  test('is not logged in by a password that the asker set last', async () => {
    const [admin, bob] = [await person(['pdp:admin']), user()]
    const [first, second] = ['a horse, a battery and a staple', 'another horse, battery and staple']
    await verdict.ask('POST /v1/assignments', { body: { subject: bob, role: 'pdp:approver' } })
    const path = `/v1/credentials/user/${bob.id}/password`
    expect((await verdict.ask(`PUT ${path}`, { key: admin.key, body: { password: first } })).status).toBe(201)
    const logIn = async (password: string): Promise<Person> => {
      const body = { method: 'password', tenant: 'default', username: bob.id, password }
      const { access_token } = (await verdict.ask('POST /v1/authenticate', { key: null, body })).body
      return { subject: bob, key: access_token }
    }
    const { id } = await asked(admin, { subject: user() })
    const session = await logIn(first)
    expect((await decide(session, id, 'approve')).status).toBe(403)
    const changed = { password: second, current_password: first }
    expect((await verdict.ask(`PUT ${path}`, { key: session.key, body: changed })).status).toBe(200)
    expect((await decide(await logIn(second), id, 'approve')).status).toBe(200)
  })

  test('is one of many at once: the others get a 409', async () => {
    const ann = await requester()
    const approvers = await Promise.all([approver(), approver(), approver(), approver()])
    for (let round = 0; round < 3; round++) {
      const { id } = await asked(ann, { subject: user() })
      const answers = await Promise.all(
        approvers.map((by, place) => decide(by, id, place % 2 === 0 ? 'approve' : 'refuse', { reason: 'x' })),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409])
      const { body } = await get(id)
      const winner = approvers[answers.findIndex(({ status }) => status === 200)]
      expect(body.decision.by).toEqual(winner?.subject)
      const { items } = (await verdict.ask(`GET /v1/capabilities?subject_id=${body.subject.id}`)).body
      expect(items).toHaveLength(body.state === 'approved' ? 1 : 0)
    }
  })

  test('has the right to: who may only ask does not, nor does who may only grant', async () => {
    const [ann, bob, cy] = [await requester(), await requester(), await person(['pdp:grantor'])]
    const { id } = await asked(ann)
    expect((await decide(bob, id, 'approve')).status).toBe(403)
    expect((await decide(cy, id, 'approve')).status).toBe(403)
    expect((await ask(await approver())).status).toBe(403)
  })

  test('sees all of them, and what waits for it; others see their own', async () => {
    const [ann, bob, plugin] = [await requester(), await approver(), user()]
    const [mine, forPlugin, forBob] = [
      await asked(ann),
      await asked(ann, { subject: plugin }),
      await asked(ann, { subject: bob.subject }),
    ]
    const listed = async (by: Person, query = '') =>
      ids(await verdict.ask(`GET /v1/permission-requests?limit=1000${query}`, { key: by.key }))
    expect(await listed(ann)).toEqual([mine.id, forPlugin.id, forBob.id])
    expect(await listed(await person(['pdp:requester'], undefined, plugin))).toEqual([forPlugin.id])
    expect((await get(mine.id, await requester())).status).toBe(404)
    expect(await listed(bob)).toEqual(expect.arrayContaining([mine.id, forPlugin.id, forBob.id]))
    const waiting = await listed(bob, '&waiting_for=me')
    expect(waiting).toEqual(expect.arrayContaining([mine.id, forPlugin.id]))
    expect(waiting).not.toContain(forBob.id)
    expect(await listed(ann, '&waiting_for=me')).toEqual([])
    const later = waiting.indexOf(forPlugin.id)
    await decide(bob, mine.id, 'approve')
    expect(await listed(bob, '&waiting_for=me')).not.toContain(mine.id)
    expect(later).toBeGreaterThan(-1)
  })
})

test('an entity that is deleted asks nothing any more, and nothing is asked for it', async () => {
  const [ann, bob, plugin] = [await requester(), await approver(), user()]
  await verdict.ask(`PUT /v1/entities/user/${plugin.id}`, { body: {} })
  const { id } = await asked(ann, { subject: plugin })
  expect((await verdict.ask(`DELETE /v1/entities/user/${plugin.id}`)).status).toBe(204)
  expect((await get(id)).body.state).toBe('withdrawn')
  expect((await decide(bob, id, 'approve')).status).toBe(409)
})

test('so many of one asker may wait, and no more', async () => {
  const ann = await requester()
  for (let count = 0; count < 100; count++) await asked(ann)
  expect((await ask(ann)).status).toBe(409)
})

test('the whole of it is in the change log and in the audit', async () => {
  const [ann, bob] = [await requester(), await approver()]
  const { id, version } = await asked(ann)
  await decide(ann, id, 'approve')
  await decide(bob, id, 'approve', { reason: 'fine' })
  const { items } = (await verdict.ask(`GET /v1/changes?after_revision=${version - 1}`)).body
  expect(items).toMatchObject([
    { kind: 'permission_request', key: { id }, operation: 'create', actor: ann.subject },
    { kind: 'capability', operation: 'create', actor: bob.subject, after: { request: id } },
    {
      kind: 'permission_request',
      operation: 'update',
      before: { state: 'pending' },
      after: { state: 'approved', decision: { by: bob.subject, reason: 'fine' } },
    },
  ])
  const { items: recorded } = await eventually(
    async () => (await verdict.ask(`GET /v1/audit?from=2020-01-01T00:00:00Z&order=asc&resource_id=${id}`)).body,
    (page) => page.items.length >= 3,
  )
  expect(recorded).toMatchObject([
    { actor: ann.subject, action: { name: 'pdp:write' }, decision: true },
    { actor: ann.subject, action: { name: 'pdp:approve' }, decision: false, context: { status: 403 } },
    { actor: bob.subject, action: { name: 'pdp:approve' }, decision: true },
  ])
})

test('who may not read entities sees the log of it through the redaction of the tenant', async () => {
  const [ann, bob, auditor] = [await requester(), await approver(), await person(['pdp:auditor'])]
  const redaction = { 'subject.id': 'keyed_hash', 'actor.id': 'keyed_hash' }
  await verdict.ask('PUT /v1/settings', { body: { redaction } })
  const { id, version } = await asked(ann)
  await decide(bob, id, 'approve')
  const { body } = await verdict.ask(`GET /v1/changes?after_revision=${version - 1}`, { key: auditor.key })
  await verdict.ask('PUT /v1/settings', { body: {} })
  expect(body.items).toHaveLength(3)
  const text = JSON.stringify(body.items)
  for (const { subject } of [ann, bob]) expect(text).not.toContain(`"${subject.id}"`)
})

test('the change log tells what people say without the credentials in it', async () => {
  const secret = `vdt_abcd1234_${'s'.repeat(43)}`
  const headers = { 'verdict-reason': `with ${secret}` }
  const [plugin, bob] = [await requester(), await approver()]
  const { id } = await asked(plugin, { justification: `since ${secret} is mine` })
  expect((await decide(bob, id, 'refuse', { reason: `${secret} is not yours` })).status).toBe(200)
  const type = await verdict.ask('PUT /v1/types/said', { body: { actions: [], description: `of ${secret}` }, headers })
  expect(type.status).toBe(201)
  const { rows } = await sql<{ text: string }>`select c::text as text from policy_changes c`.execute(
    verdict.database.db,
  )
  const log = rows.map(({ text }) => text).join()
  expect(log).not.toContain(secret)
  for (const said of ['since vdt_abcd1234_[redacted] is mine', 'vdt_abcd1234_[redacted] is not yours']) {
    expect(log).toContain(said)
  }
  for (const said of ['of vdt_abcd1234_[redacted]', 'with vdt_abcd1234_[redacted]']) expect(log).toContain(said)
})
