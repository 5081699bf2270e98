// An Express app whose documents are guarded by Verdict. See README.md beside it.
import express from 'express'
import { applyObligations, createClient } from 'verdict/client'
import { createGuard } from 'verdict/express'

const { VERDICT_URL = 'http://127.0.0.1:8080', VERDICT_KEY = '', PORT = '3002' } = process.env

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

const { requirePermission, requireRole } = createGuard({
  client: createClient({ url: VERDICT_URL, apiKey: VERDICT_KEY, timeoutMs: 2_000 }),
  subject: subjectOf,
  context: (request) => ({ ip: request.ip }),
  onError: (error) => process.stderr.write(`no decision: ${error}\n`),
})

const documentOf = (request) => ({ type: 'document', id: request.params.id })

const app = express()

app.get(
  '/documents/:id',
  requirePermission('document:read', documentOf, { obligations: ['mask'] }),
  (request, response) => {
    const document = DOCUMENTS.get(request.params.id)
    if (document === undefined) return response.status(404).json({ error: 'there is no such document' })
    return response.json(applyObligations(document, request.decision.context.obligations))
  },
)

app.put('/documents/:id', requirePermission('document:edit', documentOf), (request, response) => {
  response.json({ edited: request.params.id, decision: request.decision.context.decision_id })
})

app.get('/archive', requireRole('editor'), (_request, response) => {
  response.json({ welcome: 'editor' })
})

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`)
})
process.once('SIGTERM', () => {
  server.close()
  server.closeIdleConnections()
})
