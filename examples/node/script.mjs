// Asks, changes the policy, asks again, and reads what was recorded. See README.md beside it.
import { createClient, VerdictError } from 'verdict/client'

const { VERDICT_URL = 'http://127.0.0.1:8080', VERDICT_KEY = '' } = process.env
const client = createClient({ url: VERDICT_URL, apiKey: VERDICT_KEY })
const say = (text) => process.stdout.write(`${text}\n`)

const question = {
  subject: { type: 'user', id: 'carol' },
  action: { name: 'document:read' },
  resource: { type: 'document', id: 'plan' },
}

// A yes or a no; whatever goes wrong is a no.
say(`may carol read the plan? ${await client.can(question)}`)

// From this write on, the client asks at its revision or later, on whichever replica.
const { id } = await client.assignments.create({ subject: question.subject, role: 'reader' }, { reason: 'an example' })
const { decision, context } = await client.authorize(question)
say(`and now, at revision ${context.revision}? ${decision}, by ${context.rules?.join()}`)

const { trace } = await client.explain({ ...question, action: { name: 'document:edit' } })
say(`it holds the roles ${trace.roles.map(({ role }) => role).join()}`)

await client.assignments.delete(id)
say(`and after it was taken away? ${await client.can(question)}`)

for await (const { reason } of client.changes({ after_revision: String(client.revision - 2) })) {
  say(`changed: ${reason ?? 'for no given reason'}`)
}

// Records arrive in Postgres a moment after the answer.
const recorded = async () => (await client.audit.list({ type: 'decision', subject_id: 'carol' }).all()).length
for (let tries = 0; tries < 50 && (await recorded()) < 3; tries++) await new Promise((done) => setTimeout(done, 100))
say(`recorded about carol: ${(await recorded()) >= 3 ? 'every decision' : 'not all yet'}`)

const stranger = createClient({ url: VERDICT_URL, apiKey: 'vdt_nobody_0000000000000000000000000000000000000000000' })
const why = await stranger.authorize(question).catch((error) => error)
say(`with a key that nobody gave: ${why instanceof VerdictError ? `${why.status} ${why.code}` : 'an answer!'}`)
