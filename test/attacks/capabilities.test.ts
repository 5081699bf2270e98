import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { at } from '../support/clock.ts'
import { type Reply, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// What somebody may hand on, and who may approve what.

let verdict: TestService
let stranger: string

beforeAll(async () => {
  verdict = await startService()
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  stranger = (await keyed(['pdp:admin'], { tenant: 'acme' })).key
})
afterAll(() => verdict.close())

const name = () => `n-${randomUUID().slice(0, 8)}`
const user = (id = name()) => ({ type: 'user', id })
const END = new Date(Date.now() + 3_600_000).toISOString()
type Subject = ReturnType<typeof user>

interface Person {
  readonly subject: Subject
  readonly key: string
}

/** A key made by an operator, or by whom it is said. */
async function keyed(
  roles: readonly string[],
  { by, subject = user(), tenant = 'default' }: { by?: string; subject?: Subject; tenant?: string } = {},
): Promise<Person> {
  const headers = by === undefined ? { 'verdict-tenant': tenant } : {}
  const body = { name: 'k', subject, roles }
  return {
    subject,
    key: (await verdict.ask('POST /v1/api-keys', { key: by ?? verdict.rootKey, headers, body })).body.key,
  }
}

const WIDE = {
  actions: ['run:*'],
  resources: [{ type: 'job', id: 'batch/*' }],
  constraints: { cpu: 4 },
  condition: 'context.hour < 6',
  delegable: true,
  expires_at: END,
}
const NARROW = {
  actions: ['run:now'],
  resources: [{ type: 'job', id: 'batch/1' }],
  constraints: { cpu: 2 },
  expires_at: END,
}
const grant = (body: object, key = verdict.adminKey) => verdict.ask('POST /v1/capabilities', { key, body })

interface Holder extends Person {
  readonly held: string
}

async function holder(more: object = {}): Promise<Holder> {
  const person = await keyed(['pdp:grantor'])
  return { ...person, held: (await grant({ ...WIDE, subject: person.subject, ...more })).body.id }
}

/** Granted out of what a grantor holds. */
async function handedOn(more: object = {}, parent: object = {}): Promise<Reply> {
  const { key, held } = await holder(parent)
  return grant({ ...NARROW, subject: user(), from: held, ...more }, key)
}

const asks = (subject: Subject, more: object = {}) =>
  verdict.ask('POST /v1/authorize', {
    body: {
      subject,
      action: { name: 'run:now' },
      resource: { type: 'job', id: 'batch/1' },
      context: { hour: 5 },
      ...more,
    },
  })

/** What is decided for who was granted a part, after something was done about what it was granted out of. */
async function decided(more: object, then: (of: Holder) => Promise<unknown> = async () => {}): Promise<Reply> {
  const of = await holder()
  const subject = user()
  const made = await grant({ ...NARROW, subject, from: of.held }, of.key)
  if (made.status !== 201) return made
  await then(of)
  return asks(subject, more)
}

const soon = () => new Date(Date.now() + 60_000).toISOString()
const after = <T>(instant: string, work: () => Promise<T>) => at(Date.parse(instant) + 1, work)

attacks('handing on', [
  ['what is held, narrowed', '201', () => handedOn()],
  ['an action more', '403 /actions/1', () => handedOn({ actions: ['run:now', 'stop'] })],
  ['a pattern of actions that is wider', '403 /actions/0', () => handedOn({ actions: ['run*'] })],
  ['actions of Verdict', '422 /actions/0', () => handedOn({ actions: ['pdp:write'] })],
  [
    'actions of Verdict, of one that holds every action',
    '422 /actions/0',
    () => handedOn({ actions: ['pdp:write'] }, { actions: ['*'] }),
  ],
  [
    'a pattern of ids that is wider',
    '403 /resources/0',
    () => handedOn({ resources: [{ type: 'job', id: 'batch/**' }] }),
  ],
  ['every id of the type', '403 /resources/0', () => handedOn({ resources: [{ type: 'job' }] })],
  ['every type', '403 /resources/0', () => handedOn({ resources: [{ type: '*', id: 'batch/1' }] })],
  [
    'an id that is escaped out of the pattern',
    '403 /resources/0',
    () => handedOn({ resources: [{ type: 'job', id: 'batch/1\\/2' }] }),
  ],
  [
    'a later end, by a millisecond',
    '403 /expires_at',
    () => handedOn({ expires_at: new Date(Date.parse(END) + 1).toISOString() }),
  ],
  ['a higher limit', '403 /constraints/cpu', () => handedOn({ constraints: { cpu: 4.0000001 } })],
  ['a limit left out', '403 /constraints/cpu', () => handedOn({ constraints: {} })],
  ['a limit under a name of the prototype', '403 /constraints/cpu', () => handedOn({ constraints: { toString: 1 } })],
  ['a negative limit', '400 /constraints/cpu', () => handedOn({ constraints: { cpu: -1 } })],
  ['what is not delegable', '403 /from', () => handedOn({}, { delegable: false })],
  [
    'what is held by a group of the grantor',
    '403 /from',
    async () => {
      const [{ subject, key }, crew] = [await keyed(['pdp:grantor']), { type: 'group', id: name() }]
      await verdict.ask(`PUT /v1/entities/user/${subject.id}`, { body: { parents: [crew] } })
      const { body } = await grant({ ...WIDE, subject: crew })
      return grant({ ...NARROW, subject: user(), from: body.id }, key)
    },
  ],
  [
    'what somebody else holds',
    '403 /from',
    async () => grant({ ...NARROW, subject: user(), from: (await holder()).held }, (await holder()).key),
  ],
  [
    'what somebody of another tenant holds',
    '403 /from',
    async () => {
      const { body } = await grant({ ...WIDE, subject: user() }, stranger)
      return grant({ ...NARROW, subject: user(), from: body.id }, (await holder()).key)
    },
  ],
  ['nothing that is named', '403 /from', async () => grant({ ...NARROW, subject: user() }, (await holder()).key)],
  [
    'what ended a moment ago',
    '403 /from',
    async () => {
      const expires_at = soon()
      const { key, held } = await holder({ expires_at })
      return after(expires_at, () => grant({ ...NARROW, subject: user(), from: held }, key))
    },
  ],
  [
    'what is revoked at the same time',
    '200 denied',
    async () => {
      const { key, held } = await holder()
      const subject = user()
      await Promise.all([
        grant({ ...NARROW, subject, from: held }, key),
        verdict.ask(`DELETE /v1/capabilities/${held}`),
      ])
      return asks(subject)
    },
  ],
  [
    'the wider part of it, by who was handed a part',
    '403 /resources/0',
    async () => {
      const [{ key, held }, next] = [await holder(), await keyed(['pdp:grantor'])]
      const part = { ...NARROW, delegable: true, subject: next.subject, from: held }
      const { body } = await grant(part, key)
      return grant({ ...NARROW, resources: WIDE.resources, subject: user(), from: body.id }, next.key)
    },
  ],
  ['a condition that closes that of the whole', '422 /condition', () => handedOn({ condition: 'true) || (true' })],
  [
    'a condition that comments that of the whole out',
    '200 denied',
    async () => {
      const { key, held } = await holder()
      const subject = user()
      await grant({ ...NARROW, subject, from: held, condition: 'true //' }, key)
      return asks(subject, { context: { hour: 7 } })
    },
  ],
  [
    'a condition of whoever holds it, to be handed on',
    '422 /delegable',
    () => grant({ ...WIDE, subject: user(), condition: 'resource.properties.owner == subject.id' }),
  ],
  ['what is handed on, used', '200 allowed', () => decided({})],
  ['used while the condition of the whole does not hold', '200 denied', () => decided({ context: { hour: 6 } })],
  ['used beyond its limit', '200 denied', () => decided({ context: { hour: 5, requested: { cpu: 3 } } })],
  [
    'used with a limit that is no number',
    '200 denied',
    () => decided({ context: { hour: 5, requested: { cpu: '1' } } }),
  ],
  ['used with what is requested as a list', '200 denied', () => decided({ context: { hour: 5, requested: ['cpu'] } })],
  [
    'used after the whole was revoked',
    '200 denied',
    () => decided({}, ({ held }) => verdict.ask(`DELETE /v1/capabilities/${held}`)),
  ],
  [
    'used after its holder was deleted',
    '200 denied',
    () =>
      decided({}, async ({ subject }) => {
        await verdict.ask(`PUT /v1/entities/user/${subject.id}`, { body: {} })
        await verdict.ask(`DELETE /v1/entities/user/${subject.id}`)
      }),
  ],
  [
    'used a moment after its end',
    '200 denied',
    async () => {
      const [subject, expires_at] = [user(), soon()]
      await grant({ ...NARROW, subject, expires_at })
      return after(expires_at, () => asks(subject))
    },
  ],
  [
    'the whole, revoked by who was handed it',
    '403',
    async () => {
      const { key, held } = await holder()
      return verdict.ask(`DELETE /v1/capabilities/${held}`, { key })
    },
  ],
  [
    'one of somebody else, revoked by a grantor',
    '404',
    async () => {
      const { held } = await holder()
      return verdict.ask(`DELETE /v1/capabilities/${held}`, { key: (await holder()).key })
    },
  ],
])

const ASKED = { actions: ['run:now'], resources: WIDE.resources, duration_seconds: 60, justification: 'j' }
const ask = async (by: Person, more: object = {}): Promise<string> =>
  (await verdict.ask('POST /v1/permission-requests', { key: by.key, body: { ...ASKED, ...more } })).body.id
const approve = (by: Person, id: string, body: object = {}) =>
  verdict.ask(`POST /v1/permission-requests/${id}/approve`, { key: by.key, body })

attacks('approving', [
  [
    'what somebody else asked',
    '200',
    async () => approve(await keyed(['pdp:approver']), await ask(await keyed(['pdp:requester']))),
  ],
  [
    'without the right',
    '403',
    async () => approve(await keyed(['pdp:grantor']), await ask(await keyed(['pdp:requester']))),
  ],
  [
    'what one asked oneself',
    '403',
    async () => {
      const admin = await keyed(['pdp:admin'])
      return approve(admin, await ask(admin))
    },
  ],
  [
    'what one asked oneself, for somebody else',
    '403',
    async () => {
      const admin = await keyed(['pdp:policy_admin'])
      return approve(admin, await ask(admin, { subject: user() }))
    },
  ],
  [
    'what one asked oneself, by another key',
    '403',
    async () => {
      const asker = await keyed(['pdp:requester'])
      return approve(await keyed(['pdp:approver'], { subject: asker.subject }), await ask(asker))
    },
  ],
  [
    'what is for oneself',
    '403',
    async () => {
      const approver = await keyed(['pdp:approver'])
      return approve(approver, await ask(await keyed(['pdp:requester']), { subject: approver.subject }))
    },
  ],
  [
    'what is for a group that one is in',
    '403',
    async () => {
      const [approver, crew] = [await keyed(['pdp:approver']), { type: 'group', id: name() }]
      await verdict.ask(`PUT /v1/entities/user/${approver.subject.id}`, { body: { parents: [crew] } })
      return approve(approver, await ask(await keyed(['pdp:requester']), { subject: crew }))
    },
  ],
  [
    'by a key that the asker made',
    '403',
    async () => {
      const admin = await keyed(['pdp:admin'])
      return approve(await keyed(['pdp:approver'], { by: admin.key }), await ask(admin))
    },
  ],
  [
    'what was asked by a key that the approver made',
    '403',
    async () => {
      const admin = await keyed(['pdp:admin'])
      return approve(admin, await ask(await keyed(['pdp:requester'], { by: admin.key })))
    },
  ],
  [
    'more than was asked',
    '422 /actions/0',
    async () =>
      approve(await keyed(['pdp:approver']), await ask(await keyed(['pdp:requester'])), { actions: ['run:*'] }),
  ],
  [
    'for longer than was asked',
    '422 /duration_seconds',
    async () =>
      approve(await keyed(['pdp:approver']), await ask(await keyed(['pdp:requester'])), { duration_seconds: 61 }),
  ],
  [
    'actions of Verdict, of a request for every action',
    '422 /actions/0',
    async () => {
      const id = await ask(await keyed(['pdp:requester']), { actions: ['*'] })
      return approve(await keyed(['pdp:approver']), id, { actions: ['pdp:write'] })
    },
  ],
  [
    'a second time',
    '409',
    async () => {
      const [approver, id] = [await keyed(['pdp:approver']), await ask(await keyed(['pdp:requester']))]
      await approve(approver, id)
      return approve(approver, id)
    },
  ],
  [
    'what was withdrawn',
    '409',
    async () => {
      const asker = await keyed(['pdp:requester'])
      const id = await ask(asker)
      await verdict.ask(`POST /v1/permission-requests/${id}/withdraw`, { key: asker.key })
      return approve(await keyed(['pdp:approver']), id)
    },
  ],
  [
    'a request of another tenant',
    '404',
    async () => {
      const id = await ask({ subject: user(), key: stranger })
      return approve(await keyed(['pdp:approver']), id)
    },
  ],
])
