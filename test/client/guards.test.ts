import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import express from 'express'
import { fastify } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { Client } from '../../src/client/client.ts'
import type { Question } from '../../src/client/decisions.ts'
import { createGuard, type ExpressGuardOptions } from '../../src/client/express.ts'
import verdict, { type FastifyGuardOptions } from '../../src/client/fastify.ts'
import { applyObligations, createClient } from '../../src/client/index.ts'
import { ALLOW, DENY } from './fault-server.ts'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A client that keeps what it was asked. */
function answering(answer: unknown) {
  const asked: { question: unknown; options: unknown }[] = []
  const fetching = async () => new Response(JSON.stringify(answer), { headers: { 'content-type': 'application/json' } })
  const real = createClient({ url: 'http://verdict.test', apiKey: 'k', fetch: fetching })
  const client: Pick<typeof real, 'authorize'> = {
    authorize: (question, options) => {
      asked.push({ question, options })
      return real.authorize(question, options)
    },
  }
  return { client, asked }
}

const alice = { type: 'user', id: 'alice' }

interface Told {
  readonly status: number
  readonly type: string | null
  readonly text: string
}

interface Setup {
  readonly answer: unknown
  readonly subject?: () => Question['subject'] | undefined
  readonly resource?: () => Question['resource']
  readonly obligations?: readonly string[]
  readonly onDenied?: 'answers' | 'is silent' | 'fails'
  readonly role?: string
}

const told = async (url: string): Promise<Told> => {
  const answer = await fetch(url)
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
}

const shared = ({ answer, subject = () => alice }: Setup) => {
  const { client, asked } = answering(answer)
  return { asked, options: { client, subject, context: () => ({ ip: '10.0.0.1' }) } }
}

async function withFastify(setup: Setup) {
  const { asked, options } = shared(setup)
  const onDenied: FastifyGuardOptions['onDenied'] = ({ status }, _request, reply) => {
    if (setup.onDenied === 'fails') throw new Error('onDenied')
    return setup.onDenied === 'answers' ? reply.code(404).send(`was ${status}`) : undefined
  }
  const app = fastify()
  closing.push(() => app.close())
  await app.register(verdict, { ...options, ...(setup.onDenied && { onDenied }) })
  const { resource = () => ({ type: 'document', id: '1' }), obligations, role } = setup
  const asking = obligations === undefined ? {} : { obligations }
  const guard = role === undefined ? app.requirePermission('document:read', resource, asking) : app.requireRole(role)
  app.get('/', { preHandler: guard }, async ({ decision }) => `handled ${decision?.context.decision_id}`)
  return { asked, told: await told(await app.listen({ port: 0, host: '127.0.0.1' })) }
}

async function withExpress(setup: Setup) {
  const { asked, options } = shared(setup)
  const onDenied: ExpressGuardOptions<express.Request, express.Response>['onDenied'] = ({ status }, _, response) => {
    if (setup.onDenied === 'fails') throw new Error('onDenied')
    if (setup.onDenied === 'answers') response.status(404).send(`was ${status}`)
  }
  const guards = createGuard<express.Request, express.Response>({ ...options, ...(setup.onDenied && { onDenied }) })
  const { resource = () => ({ type: 'document', id: '1' }), obligations, role } = setup
  const asking = obligations === undefined ? {} : { obligations }
  const guard =
    role === undefined ? guards.requirePermission('document:read', resource, asking) : guards.requireRole(role)
  const app = express()
  app.get('/', guard, ({ decision }, response) => {
    response.send(`handled ${decision?.context.decision_id}`)
  })
  app.get('/', (_request, response) => {
    response.send('another route')
  })
  const fails: express.ErrorRequestHandler = (error: unknown, _request, response, _next) => {
    response.status(500).send(String(error))
  }
  app.use(fails)
  const server = app.listen(0, '127.0.0.1')
  closing.push(() => server.close())
  await once(server, 'listening')
  return { asked, told: await told(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`) }
}

const masked = { ...ALLOW, context: { ...ALLOW.context, obligations: [{ id: 'm', type: 'mask' }] } }

describe.each([
  ['Fastify', withFastify],
  ['Express', withExpress],
])('the guard of %s', (_, through) => {
  test('asks about the subject, the action, the resource and the context of the request, and hands on the decision', async () => {
    const { asked, told } = await through({ answer: ALLOW })
    expect([told.status, told.text]).toEqual([200, 'handled 1'])
    expect(asked.map(({ question }) => question)).toEqual([
      {
        subject: alice,
        action: { name: 'document:read' },
        resource: { type: 'document', id: '1' },
        context: { ip: '10.0.0.1' },
      },
    ])
  })

  test('answers a deny with a 403 that tells nothing of the policy', async () => {
    const { told } = await through({ answer: DENY })
    expect(told).toEqual({
      status: 403,
      type: expect.stringMatching('application/problem\\+json'),
      text: '{"type":"about:blank","status":403,"title":"Forbidden","detail":"this is not allowed"}',
    })
  })

  test('answers nobody with a 401, and asks nothing', async () => {
    for (const nobody of [undefined, null, false] as undefined[]) {
      const { told, asked } = await through({ answer: ALLOW, subject: () => nobody })
      expect([told.status, asked]).toEqual([401, []])
    }
  })

  test('denies what is allowed on a condition that the handler did not declare', async () => {
    const forbidden = (await through({ answer: DENY })).told
    expect(forbidden.status).toBe(403)
    expect((await through({ answer: masked })).told).toEqual(forbidden)
    expect((await through({ answer: masked, obligations: ['log'] })).told).toEqual(forbidden)
    expect((await through({ answer: masked, obligations: ['mask'] })).told.status).toBe(200)
  })

  test('answers with a 503 where there is no decision', async () => {
    expect((await through({ answer: {} })).told.status).toBe(503)
  })

  test('leaves the handler alone where a function of the application fails', async () => {
    const failing = () => {
      throw new Error('resource')
    }
    expect((await through({ answer: ALLOW, resource: failing })).told).toMatchObject({ status: 500 })
    // To Express, this text is the direction to go on with the next route.
    const directing = () => {
      throw 'route'
    }
    expect((await through({ answer: ALLOW, resource: directing })).told.text).not.toMatch(/handled|another/)
  })

  test('lets the application answer a deny, and answers itself where it does not', async () => {
    expect((await through({ answer: DENY, onDenied: 'answers' })).told).toMatchObject({ status: 404, text: 'was 403' })
    expect((await through({ answer: DENY, onDenied: 'is silent' })).told).toMatchObject({ status: 403 })
    expect((await through({ answer: DENY, onDenied: 'fails' })).told).toMatchObject({ status: 500 })
  })

  test('asks for a role as for anything else', async () => {
    const { asked, told } = await through({ answer: ALLOW, role: 'editor' })
    expect(told.status).toBe(200)
    expect(asked).toMatchObject([
      { question: { action: { name: 'role:editor' }, resource: { type: 'role', id: 'editor' } } },
    ])
    expect((await through({ answer: DENY, role: 'editor' })).told.status).toBe(403)
  })
})

const MASKS = { id: 'm', type: 'mask', properties: { fields: { contact: 'email' }, others: 'keep' } }
const LOGS = { id: 'l', type: 'log' }
const RECORD = { title: 'plan', contact: 'alice@example.com' }
const document = () => ({ type: 'document', id: '1' })

/** Allows reading on a condition that a role does not carry, and logs both. */
const byAction: Pick<Client, 'authorize'> = {
  authorize: async ({ action }) => {
    const isRole = action.name.startsWith('role:')
    const obligations = isRole ? [LOGS] : [MASKS, LOGS]
    return { ...ALLOW, context: { ...ALLOW.context, reason: 'allowed_by_rule', obligations } }
  },
}
const given = { client: byAction, subject: () => alice, obligations: ['mask', 'log'] }

async function twiceWithFastify() {
  const app = fastify()
  closing.push(() => app.close())
  await app.register(verdict, given)
  app.addHook('onRequest', app.requireRole('reader'))
  const guards = [app.requirePermission('document:read', document), app.requireRole('editor')]
  app.get('/', { preHandler: guards }, async ({ decision }) => {
    const obligations = decision?.context.obligations ?? []
    return { obligations, shown: applyObligations(RECORD, obligations) }
  })
  return await told(await app.listen({ port: 0, host: '127.0.0.1' }))
}

async function twiceWithExpress() {
  const { requirePermission, requireRole } = createGuard<express.Request, express.Response>(given)
  // Made apart, as of another router: what one of them has found holds for the other as well.
  const other = createGuard<express.Request, express.Response>(given)
  const app = express()
  app.use(other.requireRole('reader'))
  app.get('/', requirePermission('document:read', document), requireRole('editor'), ({ decision }, response) => {
    const obligations = decision?.context.obligations ?? []
    response.json({ obligations, shown: applyObligations(RECORD, obligations) })
  })
  const server = app.listen(0, '127.0.0.1')
  closing.push(() => server.close())
  await once(server, 'listening')
  return await told(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

test.each([
  ['Fastify', twiceWithFastify],
  ['Express', twiceWithExpress],
])('of several guards of %s on one route, the obligations of all are left, each once', async (_, twice) => {
  const { status, text } = await twice()
  expect(status).toBe(200)
  expect(JSON.parse(text)).toEqual({
    obligations: [LOGS, MASKS],
    shown: { title: 'plan', contact: 'a***e@example.com' },
  })
})

test('what the application answers in place of Fastify is left alone while hooks are still at it', async () => {
  const { client } = answering(DENY)
  const app = fastify()
  closing.push(() => app.close())
  app.addHook('onSend', async (_request, _reply, payload) => setTimeout(10, payload))
  const onDenied: FastifyGuardOptions['onDenied'] = (_denial, _request, reply) => {
    reply.code(404).type('text/plain').send('no such thing')
  }
  await app.register(verdict, { client, subject: () => alice, onDenied })
  app.get(
    '/',
    { preHandler: app.requirePermission('document:read', () => ({ type: 'document', id: '1' })) },
    () => 'no',
  )
  expect(await told(await app.listen({ port: 0, host: '127.0.0.1' }))).toEqual({
    status: 404,
    type: expect.stringMatching('text/plain'),
    text: 'no such thing',
  })
})

test('what the application renders in place of Express is left alone: it does so later, and nothing else is sent', async () => {
  const { client } = answering(DENY)
  const guard = createGuard<express.Request, express.Response>({
    client,
    subject: () => alice,
    onDenied: (_denial, _request, response) => response.status(404).render('guards.test.ts'),
  })
  const app = express()
  app.engine('ts', (_path, _options, done) => done(null, 'no such thing'))
  app.set('views', import.meta.dirname)
  app.get(
    '/',
    guard.requirePermission('document:read', document),
    (_request, response) => void response.send('handled'),
  )
  const server = app.listen(0, '127.0.0.1')
  closing.push(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await told(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 404, text: 'no such thing' })
})

test('the guard of Express stands before a plain server of Node as well', async () => {
  const { client } = answering(DENY)
  const { requirePermission } = createGuard({ client, subject: () => alice })
  const guard = requirePermission('document:read', () => ({ type: 'document', id: '1' }))
  const server = createServer((request, response) => void guard(request, response, () => response.end('handled')))
  closing.push(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  expect(await told(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).toMatchObject({ status: 403 })
})
