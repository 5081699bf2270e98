import fastify from 'fastify'
import { expect, test } from 'vitest'
import type { Answer } from '../../src/administration/write.ts'
import { sendAnswer } from '../../src/http/write.ts'

async function sent(answer: Answer<unknown>) {
  const app = fastify()
  app.put('/', (request, reply) => sendAnswer(request, reply, answer))
  const { statusCode, headers, body } = await app.inject({ method: 'PUT', url: '/' })
  await app.close()
  return { status: statusCode, revision: headers['verdict-revision'], body }
}

const ANSWER = { status: 201, body: { key: 'shown once' }, revision: 7, version: 7, recorded: false, in_force: true }

test('a write that is in force is answered with what it came to', async () => {
  expect(await sent(ANSWER)).toEqual({ status: 201, revision: '7', body: '{"key":"shown once"}' })
})

test('one that is committed and not in force yet is a 202, with its revision and its body', async () => {
  expect(await sent({ ...ANSWER, in_force: false })).toEqual({
    status: 202,
    revision: '7',
    body: '{"key":"shown once"}',
  })
  expect(await sent({ ...ANSWER, status: 204, body: null, in_force: false })).toMatchObject({ status: 202, body: '' })
})
