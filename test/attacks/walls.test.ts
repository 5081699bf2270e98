import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll } from 'vitest'
import { type Ask, eventually, type Reply, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// Tenants, and rights over Verdict itself.

let verdict: TestService
let stranger: string
let policyAdmin: string
let entityWriter: string
let sysadmin: string

beforeAll(async () => {
  verdict = await startService()
  await as(verdict.rootKey, 'POST /v1/tenants', { id: 'acme', name: 'Acme' })
  stranger = await keyOf(verdict.rootKey, ['pdp:admin'], { 'verdict-tenant': 'acme' })
  policyAdmin = await verdict.keyWith(['pdp:policy_admin'])
  entityWriter = await verdict.keyWith(['pdp:entity_writer'])
  sysadmin = await keyOf(verdict.rootKey, ['pdp:admin'])
  await as(verdict.adminKey, 'POST /v1/assignments', { subject: ADA, role: 'pdp:admin' })
  await as(verdict.adminKey, 'PUT /v1/roles/editor', {})
})
afterAll(() => verdict.close())

const ADA = { type: 'user', id: 'ada' }
const as = (key: string, route: string, body?: unknown, headers: Ask['headers'] = {}) =>
  verdict.ask(route, { key, headers, ...(body !== undefined && { body }) })
const keyOf = async (by: string, roles: string[], headers: Ask['headers'] = {}): Promise<string> => {
  const body = { name: 'k', subject: { type: 'service', id: `s-${randomUUID().slice(0, 8)}` }, roles }
  return (await as(by, 'POST /v1/api-keys', body, headers)).body.key
}
const acting = { 'verdict-tenant': 'acme' }
const question = (more: object = {}) => ({
  subject: ADA,
  action: { name: 'x' },
  resource: { type: 'd', id: '1' },
  ...more,
})

/** A thing of acme's, and what another tenant's admin gets who names it. */
const theirs = async (make: string, body: object, path: (id: string) => string): Promise<Reply> => {
  const { id } = (await as(stranger, make, body)).body
  return as(verdict.adminKey, path(id))
}

attacks('tenants', [
  [
    'acting in another without being an operator',
    '403',
    () => as(verdict.adminKey, 'GET /v1/settings', undefined, acting),
  ],
  [
    'acting in one’s own without being an operator',
    '403',
    () => as(verdict.adminKey, 'GET /v1/settings', undefined, { 'verdict-tenant': 'default' }),
  ],
  [
    'acting in one that is not there, as no operator',
    '403',
    () => as(verdict.adminKey, 'GET /v1/settings', undefined, { 'verdict-tenant': 'nobody' }),
  ],
  [
    'acting, as an admin of system who is no operator',
    '403',
    () => as(sysadmin, 'GET /v1/settings', undefined, acting),
  ],
  [
    'an operator who acts in one that is not there',
    '404',
    () => as(verdict.rootKey, 'GET /v1/settings', undefined, { 'verdict-tenant': 'nobody' }),
  ],
  [
    'an operator who acts in two',
    '404',
    () => as(verdict.rootKey, 'GET /v1/settings', undefined, { 'verdict-tenant': 'acme, default' }),
  ],
  [
    'an operator who acts in none',
    '404',
    () => as(verdict.rootKey, 'GET /v1/settings', undefined, { 'verdict-tenant': '' }),
  ],
  ['an operator who writes the roles of another', '403', () => as(verdict.rootKey, 'PUT /v1/roles/x', {}, acting)],
  [
    'an operator who asks for decisions of another',
    '403',
    () => as(verdict.rootKey, 'POST /v1/authorize', question(), acting),
  ],
  ['an operator who reads the audit of another', '403', () => as(verdict.rootKey, 'GET /v1/audit', undefined, acting)],
  [
    'an operator who reads the people of another',
    '403',
    () => as(verdict.rootKey, 'GET /v1/credentials/user/ada', undefined, acting),
  ],
  ['an operator who writes an issuer of another', '403', () => as(verdict.rootKey, 'PUT /v1/issuers/x', {}, acting)],
  [
    'an operator who gives a domain role in another',
    '403',
    () => as(verdict.rootKey, 'POST /v1/assignments', { subject: ADA, role: 'editor' }, acting),
  ],
  [
    'an operator who makes an operator in another',
    '422 /role',
    () => as(verdict.rootKey, 'POST /v1/assignments', { subject: ADA, role: 'pdp:operator' }, acting),
  ],
  [
    'a tenant named in a decision',
    '200 denied',
    () => as(verdict.adminKey, 'POST /v1/authorize', question({ tenant: 'acme', options: { tenant: 'acme' } })),
  ],
  ['a tenant named in a query', '400 /tenant', () => as(verdict.adminKey, 'GET /v1/roles?tenant=acme')],
  ['a tenant named in a filter of the audit', '400 /tenant', () => as(verdict.adminKey, 'GET /v1/audit?tenant=acme')],
  [
    'a tenant named in a document',
    '400 /tenant_id',
    () => as(verdict.adminKey, 'PUT /v1/roles/x', { tenant_id: 'acme' }),
  ],
  [
    'the API key of another, deleted',
    '404',
    () =>
      theirs(
        'POST /v1/api-keys',
        { name: 'k', subject: ADA, roles: ['pdp:decider'] },
        (id) => `DELETE /v1/api-keys/${id}`,
      ),
  ],
  [
    'the API key of another, rotated',
    '404',
    async () => {
      const { id } = (await as(stranger, 'POST /v1/api-keys', { name: 'k', subject: ADA, roles: ['pdp:decider'] })).body
      return as(verdict.adminKey, `POST /v1/api-keys/${id}/rotate`, {})
    },
  ],
  [
    'an assignment of another, taken away',
    '404',
    () => theirs('POST /v1/assignments', { subject: ADA, role: 'pdp:auditor' }, (id) => `DELETE /v1/assignments/${id}`),
  ],
  [
    'a decision of another, read in the audit',
    '404',
    async () => {
      const { body } = await as(stranger, 'POST /v1/authorize', question())
      return as(verdict.adminKey, `GET /v1/audit/${body.context.decision_id}`)
    },
  ],
  [
    'a cursor of another’s list',
    '200',
    async () => {
      for (const name of ['a1', 'a2']) await as(stranger, `PUT /v1/roles/${name}`, {})
      const { next_cursor } = (await as(stranger, 'GET /v1/roles?limit=1')).body
      const { status, body } = await as(verdict.adminKey, `GET /v1/roles?cursor=${next_cursor}`)
      return JSON.stringify(body).includes('"a2"') ? 'another’s roles' : String(status)
    },
  ],
  [
    'the answer to another’s Idempotency-Key',
    '201',
    async () => {
      const headers = { 'idempotency-key': randomUUID() }
      const body = { name: 'k', subject: ADA, roles: ['pdp:decider'] }
      const first = await as(stranger, 'POST /v1/api-keys', body, headers)
      const second = await as(verdict.adminKey, 'POST /v1/api-keys', body, headers)
      return first.body.id === second.body.id ? 'the same answer' : second
    },
  ],
  ['an id that climbs', '400 /name', () => as(verdict.adminKey, 'GET /v1/roles/..%2f..%2facme%2froles%2fa1')],
  ['tenants listed by who is no operator', '403', () => as(stranger, 'GET /v1/tenants')],
  ['its own tenant, renamed by its admin', '403', () => as(stranger, 'PATCH /v1/tenants/acme', { name: 'x' })],
  [
    'a tenant that is named like a path',
    '400 /id',
    () => as(verdict.rootKey, 'POST /v1/tenants', { id: '../system', name: 'x' }),
  ],
  ['a tenant in capitals', '400 /id', () => as(verdict.rootKey, 'POST /v1/tenants', { id: 'SYSTEM', name: 'x' })],
  ['a tenant that looks the same', '400 /id', () => as(verdict.rootKey, 'POST /v1/tenants', { id: 'аcme', name: 'x' })],
  [
    'a tenant that was deleted, made again',
    '409 /id',
    async () => {
      await as(verdict.rootKey, 'POST /v1/tenants', { id: 'gone', name: 'x' })
      await as(verdict.rootKey, 'DELETE /v1/tenants/gone')
      return as(verdict.rootKey, 'POST /v1/tenants', { id: 'gone', name: 'x' })
    },
  ],
  [
    'the trail of a tenant, by deleting the tenant',
    '200',
    async () => {
      await as(verdict.rootKey, 'POST /v1/tenants', { id: 'traced', name: 'x' })
      const admin = await keyOf(verdict.rootKey, ['pdp:admin'], { 'verdict-tenant': 'traced' })
      await as(admin, 'POST /v1/authorize', question())
      const records = async () =>
        Number(
          (
            await sql<{ count: string }>`select count(*) from audit where tenant_id = 'traced'`.execute(
              verdict.database.db,
            )
          ).rows[0]?.count,
        )
      const before = await eventually(records, (count) => count >= 2)
      await as(verdict.rootKey, 'DELETE /v1/tenants/traced')
      const left = await records()
      const gone = (await as(admin, 'GET /v1/roles')).status === 401
      return left >= before && gone ? '200' : `${left} of ${before} records, its key ${gone ? 'ended' : 'lives'}`
    },
  ],
  ['the tenant system, deleted', '409', () => as(verdict.rootKey, 'DELETE /v1/tenants/system')],
])

const ANY = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }

attacks('escalation', [
  [
    'a policy admin who gives itself a built-in role',
    '403',
    () => as(policyAdmin, 'POST /v1/assignments', { subject: { type: 'service', id: 'x' }, role: 'pdp:decider' }),
  ],
  [
    'a policy admin who takes the role of an admin',
    '403',
    async () => {
      const { items } = (await as(verdict.adminKey, 'GET /v1/assignments?subject_id=ada&role=pdp:admin')).body
      return as(policyAdmin, `DELETE /v1/assignments/${items[0].id}`)
    },
  ],
  ['a policy admin who makes a key', '403', () => as(policyAdmin, 'POST /v1/api-keys', { name: 'k', subject: ADA })],
  [
    'a policy admin who sets the password of an admin',
    '403',
    () => as(policyAdmin, 'PUT /v1/credentials/user/ada/password', { password: 'a horse, a battery and a staple' }),
  ],
  [
    'a policy admin who looks at the sessions of an admin',
    '403',
    () => as(policyAdmin, 'GET /v1/credentials/user/ada/sessions'),
  ],
  [
    'a policy admin who ends the sessions of an admin',
    '403',
    () => as(policyAdmin, 'DELETE /v1/credentials/user/ada/sessions'),
  ],
  ['a policy admin who trusts an issuer', '403', () => as(policyAdmin, 'PUT /v1/issuers/mine', {})],
  ['a policy admin who writes settings', '403', () => as(policyAdmin, 'PUT /v1/settings', {})],
  [
    'a policy admin who writes settings by a bundle',
    '403',
    () => as(policyAdmin, 'PUT /v1/bundle', { verdict: 1, settings: { rules_in_answers: false } }),
  ],
  ['a policy admin who reads the audit', '403', () => as(policyAdmin, 'GET /v1/audit')],
  [
    'an entity writer who disables an admin',
    '403',
    () => as(entityWriter, 'PUT /v1/entities/user/ada', { disabled: true }),
  ],
  [
    'an entity writer who disables an admin in bulk',
    '403',
    () =>
      as(entityWriter, 'POST /v1/entities/bulk', `${JSON.stringify({ ...ADA, disabled: true })}\n`, {
        'content-type': 'application/x-ndjson',
      }),
  ],
  [
    'an entity writer who deletes the subject of a key with a role',
    '403',
    async () => {
      const id = `s-${randomUUID().slice(0, 8)}`
      await as(verdict.adminKey, `PUT /v1/entities/service/${id}`, {})
      await as(verdict.adminKey, 'POST /v1/api-keys', {
        name: 'k',
        subject: { type: 'service', id },
        roles: ['pdp:auditor'],
      })
      return as(entityWriter, `DELETE /v1/entities/service/${id}`)
    },
  ],
  [
    'a bundle that disables an admin',
    '422 /entities/0',
    () => as(policyAdmin, 'PUT /v1/bundle', { verdict: 1, entities: [{ ...ADA, disabled: true }] }),
  ],
  [
    'a bundle that gives a built-in role',
    '422 /assignments/0/role',
    () =>
      as(policyAdmin, 'PUT /v1/bundle', {
        verdict: 1,
        assignments: [{ subject: { type: 'user', id: 'eve' }, role: 'pdp:admin' }],
      }),
  ],
  [
    'a role that inherits one',
    '422 /inherits/0',
    () => as(policyAdmin, 'PUT /v1/roles/heir', { inherits: ['pdp:admin'] }),
  ],
  [
    'a role derived from one',
    '422 /derived/from/0',
    () => as(policyAdmin, 'PUT /v1/roles/heir', { derived: { from: ['pdp:admin'], condition: 'true' } }),
  ],
  ['a role that is named like one', '422 /name', () => as(policyAdmin, 'PUT /v1/roles/pdp:admin', {})],
  [
    'a role named like one, in Cyrillic',
    '400 /name',
    () => as(policyAdmin, `PUT /v1/roles/${encodeURIComponent('рdp:admin')}`, {}),
  ],
  [
    'a role named like one, in full width',
    '400 /name',
    () => as(policyAdmin, `PUT /v1/roles/${encodeURIComponent('ｐｄｐ:admin')}`, {}),
  ],
  [
    'a type whose entities could not be disabled, while there are some',
    '409 /stored',
    async () => {
      await as(verdict.adminKey, 'PUT /v1/entities/user/somebody', {})
      return as(policyAdmin, 'PUT /v1/types/user', { stored: 'never' })
    },
  ],
  [
    'a rule that allows all',
    '403',
    async () => {
      await as(policyAdmin, 'PUT /v1/rules/everything', ANY)
      const told = await as(await keyOf(verdict.adminKey, ['pdp:decider']), 'GET /v1/api-keys')
      await as(policyAdmin, 'DELETE /v1/rules/everything')
      return told
    },
  ],
  [
    'a decision about Verdict’s own with roles in the request',
    '200 denied',
    () =>
      as(
        verdict.adminKey,
        'POST /v1/authorize',
        question({
          subject: { type: 'user', id: 'eve', roles: ['pdp:admin'], properties: { roles: ['pdp:admin'] } },
          action: { name: 'pdp:write' },
          resource: { type: 'pdp:api_key', id: 'x' },
        }),
      ),
  ],
  [
    'a group that holds a built-in role',
    '403',
    async () => {
      await as(verdict.adminKey, 'POST /v1/assignments', {
        subject: { type: 'group', id: 'admins' },
        role: 'pdp:admin',
      })
      await as(verdict.adminKey, 'PUT /v1/entities/service/member', { parents: [{ type: 'group', id: 'admins' }] })
      const body = { name: 'k', subject: { type: 'service', id: 'member' } }
      return as((await as(verdict.adminKey, 'POST /v1/api-keys', body)).body.key, 'GET /v1/settings')
    },
  ],
  [
    'a token of before the role was taken away',
    '403',
    async () => {
      const subject = { type: 'user', id: `u-${randomUUID().slice(0, 8)}` }
      const { id } = (await as(verdict.adminKey, 'POST /v1/assignments', { subject, role: 'pdp:policy_admin' })).body
      const api_key = (await as(verdict.adminKey, 'POST /v1/api-keys', { name: 'k', subject })).body.key
      const { access_token } = (
        await verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'api_key', api_key } })
      ).body
      await as(verdict.adminKey, `DELETE /v1/assignments/${id}`)
      return as(access_token, 'GET /v1/rules')
    },
  ],
  [
    'a role that is not valid yet',
    '403',
    async () => {
      const subject = { type: 'user', id: `u-${randomUUID().slice(0, 8)}` }
      await as(verdict.adminKey, 'POST /v1/assignments', {
        subject,
        role: 'pdp:admin',
        valid_from: '2999-01-01T00:00:00Z',
      })
      return as((await as(verdict.adminKey, 'POST /v1/api-keys', { name: 'k', subject })).body.key, 'GET /v1/settings')
    },
  ],
  [
    'a built-in role within something',
    '422 /within',
    () =>
      as(verdict.adminKey, 'POST /v1/assignments', {
        subject: ADA,
        role: 'pdp:admin',
        within: { type: 'folder', id: '1' },
      }),
  ],
  [
    'an admin who makes an operator',
    '422 /role',
    () => as(verdict.adminKey, 'POST /v1/assignments', { subject: ADA, role: 'pdp:operator' }),
  ],
  [
    'an admin of system who makes itself an operator',
    '403',
    () => as(sysadmin, 'POST /v1/assignments', { subject: ADA, role: 'pdp:operator' }),
  ],
  [
    'an admin of system who makes a key of an operator',
    '403',
    () => as(sysadmin, 'POST /v1/api-keys', { name: 'k', subject: ADA, roles: ['pdp:operator'] }),
  ],
  [
    'an admin of system who makes a key that acts as root',
    '403',
    () => as(sysadmin, 'POST /v1/api-keys', { name: 'k', subject: { type: 'service', id: 'root' } }),
  ],
  [
    'an admin of system who sets the password of root',
    '403',
    () => as(sysadmin, 'PUT /v1/credentials/service/root/password', { password: 'a horse, a battery and a staple' }),
  ],
  [
    'an admin of system who disables root',
    '403',
    () => as(sysadmin, 'PUT /v1/entities/service/root', { disabled: true }),
  ],
  [
    'an admin of system who trusts an issuer of operators',
    '403',
    () =>
      as(sysadmin, 'PUT /v1/issuers/mine', {
        issuer: 'https://idp.test',
        audiences: ['x'],
        claims: { subject: { type: 'user' } },
        allowed_roles: ['pdp:operator'],
      }),
  ],
  ['an admin of system who makes a tenant', '403', () => as(sysadmin, 'POST /v1/tenants', { id: 'mine', name: 'x' })],
  [
    'two admins, each of whom takes the other’s role at once',
    '204 for one of them',
    async () => {
      await as(verdict.rootKey, 'POST /v1/tenants', { id: 'duel', name: 'x' })
      const there = { 'verdict-tenant': 'duel' }
      const pair = await Promise.all(
        ['a', 'b'].map(async (id) => {
          const subject = { type: 'user', id }
          const assignment = (await as(verdict.rootKey, 'POST /v1/assignments', { subject, role: 'pdp:admin' }, there))
            .body.id
          return {
            assignment,
            key: (await as(verdict.rootKey, 'POST /v1/api-keys', { name: id, subject }, there)).body.key,
          }
        }),
      )
      const taken = await Promise.all(
        pair.map(({ key }, at) => as(key, `DELETE /v1/assignments/${pair[1 - at]?.assignment}`)),
      )
      // Who comes second is no admin any more (403), or the last one (409).
      const done = taken.filter(({ status }) => status === 204).length
      return done === 1 ? '204 for one of them' : `204 for ${done} of them`
    },
  ],
  [
    'an admin whose role is taken away while it writes',
    '200',
    async () => {
      for (let round = 0; round < 10; round++) {
        const subject = { type: 'user', id: `leaving-${round}` }
        const given = (await as(verdict.adminKey, 'POST /v1/assignments', { subject, role: 'pdp:admin' })).body.id
        const { key } = (await as(verdict.adminKey, 'POST /v1/api-keys', { name: 'k', subject })).body
        const back = { name: 'k', subject: { type: 'user', id: 'back' }, roles: ['pdp:admin'] }
        const [taken, ...made] = await Promise.all([
          as(verdict.adminKey, `DELETE /v1/assignments/${given}`),
          ...Array.from({ length: 8 }, () => as(key, 'POST /v1/api-keys', back)),
        ])
        const revision = ({ headers }: Reply) => Number(headers.get('verdict-revision'))
        const late = made.filter((reply) => reply.status === 201 && revision(reply) > revision(taken))
        if (late.length > 0) return `${late.length} writes after it`
      }
      return '200'
    },
  ],
  [
    'the last admin, who disables itself',
    '409',
    async () => {
      await as(verdict.rootKey, 'POST /v1/tenants', { id: 'last', name: 'x' })
      const there = { 'verdict-tenant': 'last' }
      await as(verdict.rootKey, 'POST /v1/assignments', { subject: ADA, role: 'pdp:admin' }, there)
      const { key } = (await as(verdict.rootKey, 'POST /v1/api-keys', { name: 'k', subject: ADA }, there)).body
      return as(key, 'PUT /v1/entities/user/ada', { disabled: true })
    },
  ],
])
