// A Fastify app whose documents are guarded by Verdict. See README.md beside it.
import { fastify } from 'fastify'
import { applyObligations, createClient } from 'verdict/client'
import verdict from 'verdict/fastify'

const { VERDICT_URL = 'http://127.0.0.1:8080', VERDICT_KEY = '', PORT = '3001' } = process.env

const DOCUMENTS = new Map([
  ['plan', { title: 'The plan', owner: 'alice', contact: 'alice@example.com' }],
  ['budget', { title: 'The budget', owner: 'bob', contact: 'bob@example.com' }],
])

// In the place of your own log-in: whoever it is, it is never taken from what a caller can simply write down.
const PEOPLE = new Map([
  ['token-of-alice', 'alice'],
  ['token-of-bob', 'bob'],
])

function subjectOf(request) {
  const id = PEOPLE.get((request.headers.authorization ?? '').replace('Bearer ', ''))
  return id === undefined ? undefined : { type: 'user', id }
}

const app = fastify()
await app.register(verdict, {
  client: createClient({ url: VERDICT_URL, apiKey: VERDICT_KEY, timeoutMs: 2_000 }),
  subject: subjectOf,
  context: (request) => ({ ip: request.ip }),
  onError: (error) => process.stderr.write(`no decision: ${error}\n`),
})

const documentOf = (request) => ({ type: 'document', id: request.params.id })

app.get(
  '/documents/:id',
  { preHandler: app.requirePermission('document:read', documentOf, { obligations: ['mask'] }) },
  async (request, reply) => {
    const document = DOCUMENTS.get(request.params.id)
    if (document === undefined) return reply.code(404).send({ error: 'there is no such document' })
    return applyObligations(document, request.decision.context.obligations)
  },
)

app.put('/documents/:id', { preHandler: app.requirePermission('document:edit', documentOf) }, async (request) => {
  return { edited: request.params.id, decision: request.decision.context.decision_id }
})

app.get('/archive', { preHandler: app.requireRole('editor') }, async () => ({ welcome: 'editor' }))

await app.listen({ port: Number(PORT), host: '127.0.0.1' })
process.stdout.write(`listening on http://127.0.0.1:${app.server.address().port}\n`)
process.once('SIGTERM', () => app.close())
