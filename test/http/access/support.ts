import type { TestService } from '../../support/service.ts'

/** Who reads what: alice any document, and with an obligation any secret. */
export async function aliceReads(verdict: TestService): Promise<void> {
  const rule = { effect: 'allow', subjects: [{ type: 'user', id: 'alice' }], actions: ['read'] }
  await verdict.ask('PUT /v1/rules/documents', { body: { ...rule, resources: [{ type: 'document' }] } })
  await verdict.ask('PUT /v1/rules/secrets', {
    body: { ...rule, resources: [{ type: 'secret' }], obligations: [MASK] },
  })
  await verdict.ask('PUT /v1/rules/never', {
    body: {
      ...rule,
      effect: 'deny',
      subjects: [{ any: true }],
      resources: [{ type: 'grave' }],
      obligations: [{ id: 'tell', type: 'notify' }],
    },
  })
  await verdict.ask('PUT /v1/rules/own', {
    body: {
      ...rule,
      subjects: [{ any: true }],
      resources: [{ type: 'diary' }],
      condition: 'resource.properties.owner == subject.id && context.hour == 9',
    },
  })
}

export const MASK = { id: 'mask-pii', type: 'mask', properties: { fields: { email: 'email' } } }

export const ALICE = { type: 'user', id: 'alice' }
export const BOB = { type: 'user', id: 'bob' }
export const READ = { name: 'read' }
export const PLAN = { type: 'document', id: 'plan' }
export const SECRET = { type: 'secret', id: 's' }

export const ALLOWED = { subject: ALICE, action: READ, resource: PLAN }
export const DENIED = { subject: BOB, action: READ, resource: PLAN }

/** Every record of a call, by its `X-Request-ID`, in the order of their places. */
export async function recordsOf(verdict: TestService, requestId: string) {
  const { body } = await verdict.ask(`GET /v1/audit?request_id=${requestId}&limit=1000&order=asc`)
  return body.items
}
