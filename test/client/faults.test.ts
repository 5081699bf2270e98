import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { fastify } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGuard } from '../../src/client/express.ts'
import verdict from '../../src/client/fastify.ts'
import { type Client, createClient, VerdictError } from '../../src/client/index.ts'
import { timed } from '../support/stopwatch.ts'
import { ALLOW, type Behaviour, ENDLESS, FAULTS, type FakeServer, fakeServer, json } from './fault-server.ts'

/** For what never ends. What does is given more time than any machine takes: there, the time-out is not what denies. */
const HURRIED_MS = 400
const PATIENT_MS = 30_000
/** Far beyond the shorter one: what the machine itself takes, which other work may keep busy. */
const BOUND_MS = 20_000

const QUESTION = {
  subject: { type: 'user', id: 'alice' },
  action: { name: 'document:read' },
  resource: { type: 'document', id: '1' },
}

interface Door {
  readonly url: string
  close(): Promise<unknown>
}

/** What the fake server does now. */
let behaviour: Behaviour = (response) => json(response, ALLOW)
let fake: FakeServer
/** Guarded by the two guards; each answers with what its handler was given. */
let doors: Readonly<Record<string, Door>>
let handled = 0

beforeAll(async () => {
  fake = await fakeServer((response, asked, times) => behaviour(response, asked, times))
  doors = {
    Fastify: await fastifyDoor(clientOf(fake.url)),
    Express: await expressDoor(clientOf(fake.url)),
    'Fastify, hurried': await fastifyDoor(clientOf(fake.url, HURRIED_MS)),
    'Express, hurried': await expressDoor(clientOf(fake.url, HURRIED_MS)),
  }
})

afterAll(async () => {
  for (const door of Object.values(doors)) await door.close()
  await fake.close()
})

const clientOf = (url: string, timeoutMs = PATIENT_MS) => createClient({ url, apiKey: 'vdt_test_secret', timeoutMs })

async function fastifyDoor(client: Client): Promise<Door> {
  const app = fastify()
  await app.register(verdict, { client, subject: () => QUESTION.subject })
  const guard = app.requirePermission('document:read', () => QUESTION.resource)
  app.get('/', { preHandler: guard }, async ({ decision }) => {
    handled++
    return decision
  })
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() }
}

async function expressDoor(client: Client): Promise<Door> {
  const app = express()
  const guard = createGuard<express.Request>({ client, subject: () => QUESTION.subject })
  app.get(
    '/',
    guard.requirePermission('document:read', () => QUESTION.resource),
    (request, response) => {
      handled++
      response.json(request.decision)
    },
  )
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('where all is well, what is allowed is let through', () => {
  beforeAll(() => {
    behaviour = (response) => json(response, ALLOW)
  })

  test('the client', async () => {
    const client = clientOf(fake.url)
    expect(await client.authorize(QUESTION)).toEqual(ALLOW)
    expect(await client.can(QUESTION)).toBe(true)
    expect(await client.batch({ evaluations: [QUESTION] }).catch(({ code }) => code)).toBe('bad_answer')
  })

  test.each(['Fastify', 'Express'])('the guard of %s', async (name) => {
    const answer = await fetch(doors[name]?.url ?? '')
    expect([answer.status, await answer.json()]).toEqual([200, ALLOW])
  })
})

/** What a server has decided, and nobody need ask again. */
const ANSWERED = new Set(['says false', 'has an obligation that nobody declared'])

describe.each(Object.entries(FAULTS))('a server that %s', (fault, broken) => {
  beforeAll(() => {
    behaviour = broken
  })

  const isEndless = ENDLESS.has(fault)

  test('is not believed by the client, within the time-out', async () => {
    const client = clientOf(fake.url, isEndless ? HURRIED_MS : PATIENT_MS)
    const asked = await timed(() => client.authorize(QUESTION).catch((error: unknown) => error))
    if (fault === 'says false') expect(asked.outcome).toHaveProperty('decision', false)
    else expect(asked.outcome).toBeInstanceOf(VerdictError)
    const errors: unknown[] = []
    const can = await timed(() => client.can(QUESTION, { onError: (error) => errors.push(error) }))
    expect(can.outcome).toBe(false)
    expect(errors).toEqual(fault === 'says false' ? [] : [expect.any(VerdictError)])
    const batch = await timed(() => client.batch({ evaluations: [QUESTION] }).catch((error: unknown) => error))
    expect(batch.outcome).toBeInstanceOf(VerdictError)
    expect(Math.max(asked.ms, can.ms, batch.ms)).toBeLessThan(BOUND_MS)
  })

  test.each(['Fastify', 'Express'])('is denied by the guard of %s, within the time-out', async (name) => {
    const before = handled
    const { outcome, ms } = await timed(() => fetch(doors[isEndless ? `${name}, hurried` : name]?.url ?? ''))
    expect(outcome.status).toBe(ANSWERED.has(fault) ? 403 : 503)
    expect(outcome.headers.get('content-type')).toMatch('application/problem+json')
    await outcome.arrayBuffer()
    expect(handled).toBe(before)
    expect(ms).toBeLessThan(BOUND_MS)
  })
})

test('a server that is not there is not believed either', async () => {
  const gone = await fakeServer(() => {})
  await gone.close()
  const client = clientOf(gone.url)
  const { outcome, ms } = await timed(() => client.authorize(QUESTION).catch((error: unknown) => error))
  expect(outcome).toMatchObject({ code: 'unreachable' })
  expect(await client.can(QUESTION)).toBe(false)
  expect(ms).toBeLessThan(BOUND_MS)
})
