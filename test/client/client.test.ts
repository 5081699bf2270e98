import { afterEach, describe, expect, test } from 'vitest'
import {
  type Authentication,
  applyObligations,
  type ClientOptions,
  createClient,
  VerdictError,
} from '../../src/client/index.ts'
import { ALLOW, type Behaviour, DENY, type FakeServer, fakeServer, json } from './fault-server.ts'

const QUESTION = {
  subject: { type: 'user', id: 'alice' },
  action: { name: 'document:read' },
  resource: { type: 'document', id: '1' },
} as const

const fakes: FakeServer[] = []

afterEach(async () => {
  for (const fake of fakes.splice(0)) await fake.close()
})

type Given = Partial<Pick<ClientOptions, 'timeoutMs' | 'onError'>>

async function against(behave: Behaviour, options: Given & { as?: Authentication } = {}) {
  const fake = await fakeServer(behave)
  fakes.push(fake)
  const { as = { apiKey: 'vdt_test_secret' }, ...more } = options
  return { fake, client: createClient({ url: fake.url, timeoutMs: 20_000, ...as, ...more }) }
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'answered',
    (error: unknown) => (error instanceof VerdictError ? error.code : error),
  )

const busy = (response: Parameters<Behaviour>[0], retryAfter?: string) =>
  json(
    response,
    { type: 'urn:verdict:problem:busy', title: 'Busy', status: 503, detail: 'too much to do' },
    {
      status: 503,
      type: 'application/problem+json',
      headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
    },
  )

describe('an error', () => {
  test('says what Verdict said: code, status, problem', async () => {
    const problem = {
      type: 'urn:verdict:problem:invalid_request',
      title: 'Malformed request',
      status: 400,
      detail: 'the body is wrong',
      errors: [{ pointer: '/subject', detail: 'is required' }],
    }
    const { client } = await against((response) =>
      json(response, problem, { status: 400, type: 'application/problem+json; charset=utf-8' }),
    )
    const error = await client.authorize(QUESTION).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(VerdictError)
    expect(error).toMatchObject({ code: 'invalid_request', status: 400, message: 'the body is wrong', problem })
  })

  test('holds nothing of the key', async () => {
    const key = 'vdt_canary_secretsecretsecret'
    const gone = await fakeServer(() => {})
    await gone.close()
    for (const [url, apiKey] of [
      [gone.url, key],
      ['http://127.0.0.1:1', `${key}\n`],
    ] as const) {
      const error = await createClient({ url, apiKey })
        .authorize(QUESTION)
        .catch((thrown: unknown) => thrown)
      const { inspect } = await import('node:util')
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('canary')
    }
  })

  test('says that an answer was too long to be one, however much time there is', async () => {
    const long = `${' '.repeat(5 * 1024 * 1024)}${JSON.stringify(ALLOW)}`
    const { client } = await against((response) => json(response, long), { timeoutMs: 20_000 })
    expect(await codeOf(client.authorize(QUESTION))).toBe('bad_answer')
  })

  test('tells that the caller gave up', async () => {
    const { client } = await against(() => {})
    expect(await codeOf(client.authorize(QUESTION, { signal: AbortSignal.timeout(50) }))).toBe('aborted')
    expect(await codeOf(client.authorize(QUESTION, { signal: AbortSignal.abort() }))).toBe('aborted')
  })

  test.each(['ftp://x', 'verdict', 'http://user:pass@host', 'http://host?x=1', ''])(
    'an url like %j is refused',
    (url) => {
      expect(() => createClient({ url, apiKey: 'k' })).toThrow(VerdictError)
    },
  )

  test.each([Number.NaN, -1, 0, Number.POSITIVE_INFINITY, 2 ** 31])(
    'says that a time-out of %d is none, of the client and of a call',
    async (timeoutMs) => {
      await expect(against(() => {}, { timeoutMs })).rejects.toMatchObject({ code: 'bad_request' })
      const { client, fake } = await against((response) => json(response, ALLOW))
      expect(await codeOf(client.authorize(QUESTION, { timeoutMs }))).toBe('bad_request')
      expect(await codeOf(client.rules.get('x', { timeoutMs }))).toBe('bad_request')
      expect(await codeOf(client.audit.exportBytes({}, { timeoutMs }).next())).toBe('bad_request')
      expect(await client.can(QUESTION, { timeoutMs })).toBe(false)
      expect(fake.asked).toEqual([])
    },
  )

  test('a listener that fails changes no answer', async () => {
    const { client } = await against((response) => json(response, '{}'))
    const onError = () => {
      throw new Error('listener')
    }
    expect(await client.can(QUESTION, { onError })).toBe(false)
    expect(await client.can(QUESTION, { onError: async () => onError() })).toBe(false)
  })

  test('a fetch that throws at once, answers nonsense, or heeds no signal is an error like others', async () => {
    const clientOf = (fetch: unknown) =>
      createClient({ url: 'http://verdict.test', apiKey: 'k', timeoutMs: 100, fetch: fetch as typeof globalThis.fetch })
    const throwing = () => {
      throw new Error('no')
    }
    expect(await codeOf(clientOf(throwing).authorize(QUESTION))).toBe('disconnected')
    expect(await codeOf(clientOf(() => new Promise(() => {})).authorize(QUESTION))).toBe('timeout')
    for (const answer of [undefined, null, {}, { ok: true }, { ok: true, status: 200, json: async () => ALLOW }]) {
      expect(await clientOf(async () => answer).can(QUESTION)).toBe(false)
    }
  })
})

describe('a try is repeated', () => {
  test('for a question: on a 503 that names a time, within the time-out', async () => {
    const { client, fake } = await against((response, _, times) =>
      times < 3 ? busy(response, '0') : json(response, ALLOW),
    )
    expect((await client.authorize(QUESTION)).decision).toBe(true)
    expect(fake.asked).toHaveLength(3)
  })

  test('never where the wait would pass the time-out: the deny comes at once', async () => {
    const { client, fake } = await against((response) => busy(response, '30'))
    const began = performance.now()
    expect(await codeOf(client.authorize(QUESTION))).toBe('busy')
    expect([fake.asked.length, performance.now() - began < 15_000]).toEqual([1, true])
  })

  test('at most three times', async () => {
    const { client, fake } = await against((response) => busy(response, '0'))
    expect(await codeOf(client.authorize(QUESTION))).toBe('busy')
    expect(fake.asked).toHaveLength(3)
  })

  test.each<[string, Behaviour]>([
    ['503 that names no time', (response) => busy(response)],
    ['500', (response) => json(response, 'x', { status: 500 })],
    ['reset', (response) => response.socket?.resetAndDestroy()],
    ['429', (response) => json(response, 'x', { status: 429, headers: { 'retry-after': '0' } })],
  ])('not for a question after a %s: it may have been decided', async (_, behave) => {
    const { client, fake } = await against(behave)
    expect(await client.can(QUESTION)).toBe(false)
    expect(fake.asked).toHaveLength(1)
  })

  test('and lets go of the connection of the refusal, whose body nobody reads', async () => {
    const open = new Set<unknown>()
    const { client } = await against((response, _asked, times) => {
      const { socket } = response
      if (!open.has(socket)) socket?.once('close', () => open.delete(socket))
      open.add(socket)
      if (times % 2 === 0) return json(response, ALLOW)
      json(response, 'y'.repeat(20_000), { status: 503, type: 'text/html', headers: { 'retry-after': '0' } })
    })
    for (let asked = 0; asked < 20; asked++) expect(await client.can(QUESTION)).toBe(true)
    await expect.poll(() => open.size).toBeLessThan(5)
  })

  test('for what is read, after a reset', async () => {
    const { client, fake } = await against((response, _, times) =>
      times === 1 ? response.socket?.resetAndDestroy() : json(response, { name: 'r' }),
    )
    expect(await client.roles.get('r')).toEqual({ name: 'r' })
    expect(fake.asked).toHaveLength(2)
  })

  test('for a write, under one key: it is done once', async () => {
    const { client, fake } = await against((response, _, times) =>
      times === 1 ? response.socket?.resetAndDestroy() : json(response, { name: 'r' }),
    )
    await client.roles.put('r', { description: 'x' }, { ifMatch: 4, reason: 'because' })
    const [first, second] = fake.asked
    expect(first).toMatchObject({ method: 'PUT', url: '/v1/roles/r', body: '{"description":"x"}' })
    expect(first?.headers).toMatchObject({ 'if-match': '"4"', 'verdict-reason': 'because' })
    expect(first?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/)
    expect(second).toEqual(first)
  })

  test('not for a write whose answer shows a secret once', async () => {
    const { client, fake } = await against((response) => response.socket?.resetAndDestroy())
    const key = { name: 'k', subject: { type: 'service', id: 's' } }
    expect(await codeOf(client.apiKeys.create(key))).toBe('disconnected')
    expect(fake.asked).toHaveLength(1)
  })
})

describe("after the client's own write, it asks at that revision or later", () => {
  const written: Behaviour = (response, { method, url }) =>
    method === 'POST' && url.startsWith('/v1/authorize')
      ? json(response, url.endsWith('batch') ? { decision: true, evaluations: [ALLOW] } : ALLOW)
      : url.startsWith('/access')
        ? json(response, { page: { next_token: '' }, results: [] })
        : json(response, { name: 'r' }, { headers: { 'verdict-revision': '42' } })
  const optionsIn = ({ asked }: FakeServer) => JSON.parse(asked.at(-1)?.body ?? '{}').options

  test('on every door', async () => {
    const { client, fake } = await against(written)
    await client.authorize(QUESTION)
    expect(optionsIn(fake)).toBeUndefined()
    await client.roles.put('r', {})
    expect(client.revision).toBe(42)
    await client.authorize(QUESTION)
    expect(optionsIn(fake)).toEqual({ min_revision: 42 })
    await client.batch({ ...QUESTION, evaluations: [{}] })
    expect(optionsIn(fake)).toEqual({ min_revision: 42 })
    await client.search.actions({ subject: QUESTION.subject, resource: QUESTION.resource }).all()
    expect(optionsIn(fake)).toEqual({ min_revision: 42 })
    await client.authorize({ ...QUESTION, options: { min_revision: 50 } })
    expect(optionsIn(fake)).toEqual({ min_revision: 50 })
    await client.authorize({ ...QUESTION, options: { min_revision: 3 } })
    expect(optionsIn(fake)).toEqual({ min_revision: 42 })
  })

  test("but not at another tenant's", async () => {
    const { client } = await against(written)
    await client.settings.put({}, { tenant: 'acme' })
    expect(client.revision).toBeUndefined()
  })

  test('and forgets one that Verdict does not know, after a deny', async () => {
    const { client } = await against((response, asked, times) => {
      if (!asked.body.includes('min_revision')) return written(response, asked, times)
      const problem = { type: 'urn:verdict:problem:revision_unknown', title: 't', status: 400, detail: 'unknown' }
      return json(response, problem, { status: 400, type: 'application/problem+json' })
    })
    await client.roles.put('r', {})
    expect(await codeOf(client.authorize(QUESTION))).toBe('revision_unknown')
    expect(await client.can(QUESTION)).toBe(true)
  })
})

describe('obligations', () => {
  const bound = (type: string) => ({ ...ALLOW, context: { ...ALLOW.context, obligations: [{ id: 'o', type }] } })

  test('what is allowed on a condition that the caller does not declare is not allowed', async () => {
    const { client } = await against((response) => json(response, bound('mask')))
    expect(await codeOf(client.authorize(QUESTION))).toBe('unknown_obligation')
    expect(await client.can(QUESTION)).toBe(false)
    expect(await client.can(QUESTION, { obligations: ['log'] })).toBe(false)
    expect(await client.can(QUESTION, { obligations: ['log', 'mask'] })).toBe(true)
    expect(await client.authorize(QUESTION, { obligations: 'any' })).toEqual(bound('mask'))
  })

  test('an item of a batch that is allowed on such a condition is denied', async () => {
    const { client } = await against((response) =>
      json(response, { decision: true, evaluations: [ALLOW, bound('mask')] }),
    )
    const question = { ...QUESTION, evaluations: [{}, {}] }
    const answer = await client.batch(question)
    expect([answer.decision, answer.evaluations.map(({ decision }) => decision)]).toEqual([false, [true, false]])
    expect((await client.batch(question, { obligations: ['mask'] })).decision).toBe(true)
  })

  test('masks are applied one after the other; one that cannot be read shows nothing', () => {
    const record = { email: 'alice@example.com', ssn: '123-45-6789', note: 'x' }
    const mask = (id: string, properties: Record<string, unknown>) => ({ id, type: 'mask', properties })
    const shown = applyObligations(record, [
      mask('a', { fields: { email: 'email', ssn: 'ssn' } }),
      { id: 'l', type: 'log' },
      mask('b', { fields: { ssn: 'null', email: 'clear' }, others: 'remove' }),
    ])
    expect(shown).toEqual({ email: 'a***e@example.com', ssn: null })
    for (const properties of [{}, { fields: { a: 'rot13' } }, { fields: { '..': 'null' } }]) {
      expect(() => applyObligations(record, [mask('a', properties)])).toThrow(VerdictError)
    }
    expect(() => applyObligations(record, [{ id: 'a', type: 'mask' }])).toThrow(VerdictError)
  })
})

describe('a masked record', () => {
  const asked = { ...QUESTION, record: { a: 1 } }
  const given = { ...ALLOW, record: { a: '*' }, masked: ['a'] }

  test('is what an allow shows; its masks are carried out, and other conditions are declared', async () => {
    const with_ = (type: string) => ({
      ...given,
      context: { ...ALLOW.context, obligations: [{ id: 'o', type }] },
    })
    const masked = await against((response) => json(response, with_('mask')))
    expect(await masked.client.mask(asked)).toEqual(with_('mask'))
    const logged = await against((response) => json(response, with_('log')))
    expect(await codeOf(logged.client.mask(asked))).toBe('unknown_obligation')
    expect(await codeOf(logged.client.mask(asked, { obligations: ['log'] }))).toBe('answered')
    expect(await codeOf(logged.client.mask(asked, { obligations: 'any' }))).toBe('answered')
  })

  test('is nowhere in a deny, whatever the answer holds', async () => {
    const { client } = await against((response) => json(response, { ...given, ...DENY }))
    expect(await client.mask(asked)).toEqual({ decision: false, masked: [], context: expect.anything() })
  })

  test.each([
    ['without a record', { ...ALLOW, masked: [] }],
    ['with a list for a record', { ...ALLOW, record: [1], masked: [] }],
    ['that does not say what was masked', { ...ALLOW, record: {} }],
    ['without a decision', { record: {}, masked: [] }],
  ])('an allow %s is no answer', async (_title, body) => {
    const { client } = await against((response) => json(response, body))
    expect(await codeOf(client.mask(asked))).toBe('bad_answer')
  })
})

describe('of alternatives', () => {
  const asked = { ...QUESTION, evaluations: [{}, {}, {}], fallback: 'queue' }
  const bound = { ...ALLOW, context: { ...ALLOW.context, obligations: [{ id: 'o', type: 'log' }] } }
  /** Answers as a server would that came to these. */
  const coming = (outcomes: readonly unknown[]) => {
    let left = [...outcomes]
    return against((response) => {
      const allowed = left.findIndex((one) => one !== DENY)
      const evaluations = left.slice(0, allowed === -1 ? left.length : allowed + 1)
      left = left.slice(evaluations.length)
      json(response, { decision: false, evaluations, selected: { index: 0 } })
    })
  }

  test.each([
    ['the first that is allowed is taken', [DENY, ALLOW, ALLOW], {}, { index: 1, evaluation: ALLOW }],
    ['the fallback, where none is', [DENY, DENY, DENY], {}, { fallback: 'queue' }],
    ['not one on a condition that nobody declares', [bound, DENY, ALLOW], {}, { index: 2, evaluation: ALLOW }],
    [
      'one on a condition that the caller declares',
      [bound, DENY, ALLOW],
      { obligations: ['log'] },
      { index: 0, evaluation: bound },
    ],
    ['the fallback, where all that is allowed is so conditionally', [DENY, bound, bound], {}, { fallback: 'queue' }],
  ])('%s', async (_title, outcomes, options, taken) => {
    const { client } = await coming(outcomes)
    expect(await client.route(asked, options)).toEqual(taken)
  })

  test('what the server selected is not the batch answer: its item may be on a condition', async () => {
    const { client } = await coming([bound])
    const answer = await client.batch({ ...QUESTION, evaluations: [{}] })
    expect(answer).not.toHaveProperty('selected')
    expect(answer.decision).toBe(false)
  })

  test('without any, or without an answer, there is no decision', async () => {
    const { client } = await coming([])
    expect(await codeOf(client.route({ ...asked, evaluations: [] }))).toBe('bad_request')
    expect(await codeOf(client.route(asked))).toBe('bad_answer')
  })
})

describe('an operation is believed', () => {
  const asked = {
    subject: QUESTION.subject,
    permissions: [
      { kind: 'a', target: '1' },
      { kind: 'b', target: '2' },
    ],
  }
  const each = (answer: object, kind: string) => ({ ...answer, kind, target: kind })
  const whole = { ...ALLOW, permissions: [each(ALLOW, 'a'), each(ALLOW, 'b')] }
  const bound = { ...ALLOW, context: { ...ALLOW.context, obligations: [{ id: 'o', type: 'log' }] } }

  test.each<[string, unknown, unknown]>([
    ['where every permission is allowed', whole, true],
    ['not where one is denied', { ...whole, permissions: [each(ALLOW, 'a'), each(DENY, 'b')] }, false],
    ['not where the whole is denied', { ...whole, decision: false }, false],
    ['not where one is on a condition', { ...whole, permissions: [each(ALLOW, 'a'), each(bound, 'b')] }, false],
    ['not where the whole is on a condition', { ...whole, ...bound }, false],
    ['not with an answer too few', { ...whole, permissions: [each(ALLOW, 'a')] }, 'bad_answer'],
    ['not without answers', ALLOW, 'bad_answer'],
    ['not with text for a decision', { ...whole, permissions: [each(ALLOW, 'a'), { decision: 'true' }] }, 'bad_answer'],
  ])('%s', async (_title, body, wanted) => {
    const { client } = await against((response) => json(response, body))
    const answer = client.operation(asked)
    expect(typeof wanted === 'string' ? await codeOf(answer) : (await answer).decision).toBe(wanted)
  })

  test('and asks for something', async () => {
    const { client } = await against((response) => json(response, whole))
    expect(await codeOf(client.operation({ ...asked, permissions: [] }))).toBe('bad_request')
  })
})

describe('a batch is believed', () => {
  const asked = { ...QUESTION, evaluations: [{}, {}] }

  test('as far as each item says so', async () => {
    const { client } = await against((response) =>
      json(response, { decision: false, evaluations: [ALLOW, DENY], revision: 7 }),
    )
    expect(await client.batch(asked)).toEqual({ decision: false, evaluations: [ALLOW, DENY], revision: 7 })
  })

  test.each([
    ['top-level allow over a denied item', { decision: true, evaluations: [ALLOW, DENY] }],
    ['missing top-level decision', { evaluations: [ALLOW, ALLOW] }],
    ['top-level "true"', { decision: 'true', evaluations: [ALLOW, ALLOW] }],
  ])('a %s is no allow of all', async (_, body) => {
    const { client } = await against((response) => json(response, body))
    expect((await client.batch(asked)).decision).toBe(false)
  })

  test.each([
    ['fewer items than were asked for', { decision: true, evaluations: [ALLOW] }],
    ['more items', { decision: true, evaluations: [ALLOW, ALLOW, ALLOW] }],
    ['an item that says "true"', { decision: true, evaluations: [ALLOW, { decision: 'true' }] }],
    ['an item that is none', { decision: true, evaluations: [ALLOW, null] }],
    ['no items', { decision: true }],
    ['a single answer', ALLOW],
  ])('%s: it is no answer', async (_, body) => {
    const { client } = await against((response) => json(response, body))
    expect(await codeOf(client.batch(asked))).toBe('bad_answer')
  })

  test('fewer where its semantic stops it, and then it is no allow of all', async () => {
    const { client } = await against((response) => json(response, { decision: true, evaluations: [ALLOW] }))
    const answer = await client.batch({ ...asked, options: { evaluations_semantic: 'permit_on_first_permit' } })
    expect([answer.decision, answer.evaluations]).toEqual([false, [ALLOW]])
  })

  test('an empty one is not asked', async () => {
    const { client, fake } = await against((response) => json(response, ALLOW))
    expect(await codeOf(client.batch({ ...QUESTION, evaluations: [] }))).toBe('bad_request')
    expect(fake.asked).toEqual([])
  })
})

describe('pages', () => {
  test('are fetched as they are wanted', async () => {
    const { client, fake } = await against((response, { url }) =>
      url.includes('cursor=b')
        ? json(response, { items: [{ name: '3' }], next_cursor: null })
        : json(response, { items: [{ name: '1' }, { name: '2' }], next_cursor: 'b' }),
    )
    const names: string[] = []
    for await (const { name } of client.rules.list({ effect: 'deny' }, { limit: 2 })) names.push(name)
    expect(names).toEqual(['1', '2', '3'])
    expect(fake.asked.map(({ url }) => url)).toEqual([
      '/v1/rules?effect=deny&limit=2',
      '/v1/rules?effect=deny&cursor=b&limit=2',
    ])
    for await (const { name } of client.rules.list()) if (name === '1') break
    expect(fake.asked).toHaveLength(3)
  })

  test('of a search carry the token, and everything else as it was', async () => {
    const { client, fake } = await against((response, { body }) =>
      json(
        response,
        body.includes('"token":"t"')
          ? { page: { next_token: '' }, results: [{ type: 'user', id: 'b' }] }
          : { page: { next_token: 't' }, results: [{ type: 'user', id: 'a' }] },
      ),
    )
    const search = { subject: { type: 'user' }, action: QUESTION.action, resource: QUESTION.resource }
    expect(await client.search.subjects(search, { limit: 1 }).all()).toEqual([
      { type: 'user', id: 'a' },
      { type: 'user', id: 'b' },
    ])
    expect(fake.asked.map(({ url, body }) => [url, JSON.parse(body)])).toEqual([
      ['/access/v1/search/subject', { ...search, page: { limit: 1 } }],
      ['/access/v1/search/subject', { ...search, page: { token: 't', limit: 1 } }],
    ])
  })

  test.each([
    ['a page without its end', { items: [] }],
    ['no list', { items: {}, next_cursor: null }],
    ['a page that names itself', { items: [], next_cursor: 'x' }],
  ])('%s is an error, not the end', async (_, body) => {
    const { client } = await against((response) => json(response, body))
    expect(await codeOf(client.roles.list().all())).toBe('bad_answer')
  })

  test.each([
    ['a result without an id', { page: { next_token: '' }, results: [{ type: 'user' }] }],
    ['a page that does not say whether there is more', { page: {}, results: [] }],
  ])('of a search: %s is an error', async (_, body) => {
    const { client } = await against((response) => json(response, body))
    const search = { subject: { type: 'user' }, action: QUESTION.action, resource: QUESTION.resource }
    expect(await codeOf(client.search.subjects(search).all())).toBe('bad_answer')
  })
})

describe('an export', () => {
  const lines =
    (...texts: string[]): Behaviour =>
    (response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      for (const text of texts) response.write(text)
      response.end()
    }
  const all = async (behave: Behaviour) => {
    const { client } = await against(behave)
    const found: unknown[] = []
    for await (const line of client.audit.export()) found.push(line)
    return found
  }

  test('comes line by line, wherever the network cuts it', async () => {
    expect(await all(lines('{"id":"1"}\n{"i', 'd":"2"}\n{"cursor":"c","complete":[]}\n'))).toEqual([
      { id: '1' },
      { id: '2' },
      { cursor: 'c', complete: [] },
    ])
  })

  test.each([
    ['without its last line', ['{"id":"1"}\n{"cursor":"c"}\n'], 'disconnected'],
    ['in the middle of a line', ['{"id":"1"}\n{"cursor":"c","complete":[]}\n{"id"'], 'disconnected'],
    ['with something else', ['{"id":"1"}\n<h1>\n'], 'bad_answer'],
  ])('that ends %s is an error', async (_, texts, code) => {
    expect(await codeOf(all(lines(...texts)))).toBe(code)
  })

  test('that hangs in the middle is an error within the time-out', async () => {
    const { client } = await against(
      (response) => response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{"id":"1"}\n'),
      { timeoutMs: 3_000 },
    )
    const found: unknown[] = []
    const read = async () => {
      for await (const line of client.audit.export()) found.push(line)
    }
    expect(await codeOf(read())).toBe('timeout')
    expect(found).toEqual([{ id: '1' }])
  })
})

describe('with a credential', () => {
  /** Gives tokens t1, t2, …, and takes only the newest. */
  const issuing = (expires_in = 900) => {
    const logins: unknown[] = []
    let newest = 0
    const behave: Behaviour = (response, { url, body, headers }) => {
      if (url === '/v1/authenticate') {
        logins.push(JSON.parse(body))
        newest++
        return void setTimeout(
          () => json(response, { access_token: `t${newest}`, expires_in, refresh_token: `r${newest}` }),
          20,
        )
      }
      return headers.authorization === `Bearer t${newest}`
        ? json(response, ALLOW)
        : json(
            response,
            { type: 'urn:verdict:problem:unauthenticated', title: 't', status: 401, detail: 'no' },
            { status: 401, type: 'application/problem+json' },
          )
    }
    return { behave, logins, revoke: () => newest++ }
  }
  const credentials = { method: 'password', tenant: 'default', username: 'alice', password: 'correct horse' } as const

  test('many questions at once log in once', async () => {
    const { behave, logins } = issuing()
    const sessions: unknown[] = []
    const { client } = await against(behave, { as: { credentials, onSession: (session) => sessions.push(session) } })
    expect(await Promise.all(Array.from({ length: 20 }, () => client.can(QUESTION)))).toEqual(Array(20).fill(true))
    expect(logins).toEqual([credentials])
    expect(sessions).toMatchObject([{ refresh_token: 'r1' }])
  })

  test('a token that is refused is refreshed once for all, and the questions are asked again', async () => {
    const { behave, logins, revoke } = issuing()
    const { client } = await against(behave, { as: { credentials } })
    expect(await client.can(QUESTION)).toBe(true)
    revoke()
    expect(await Promise.all(Array.from({ length: 20 }, () => client.can(QUESTION)))).toEqual(Array(20).fill(true))
    expect(logins.slice(1)).toEqual([{ method: 'refresh_token', refresh_token: 'r1' }])
  })

  test('a token is refreshed before it expires', async () => {
    const { behave, logins } = issuing(0)
    const { client } = await against(behave, { as: { credentials } })
    expect([await client.can(QUESTION), await client.can(QUESTION)]).toEqual([true, true])
    expect(logins).toEqual([credentials, { method: 'refresh_token', refresh_token: 'r1' }])
  })

  test('a refresh token that is refused leads to a login, and a login that is refused to a deny', async () => {
    const refusing: Behaviour = (response, { url, body }) =>
      url === '/v1/authenticate' && body.includes('password')
        ? json(response, { access_token: 'short', expires_in: 0, refresh_token: 'spent' })
        : url === '/v1/authenticate'
          ? json(response, 'no', { status: 401 })
          : json(response, ALLOW)
    const { client, fake } = await against(refusing, { as: { credentials } })
    expect([await client.can(QUESTION), await client.can(QUESTION)]).toEqual([true, true])
    expect(fake.asked.map(({ body }) => JSON.parse(body).method)).toEqual([
      'password',
      undefined,
      'refresh_token',
      'password',
      undefined,
    ])
    const stranger = await against((response) => json(response, 'no', { status: 401 }), { as: { credentials } })
    expect(await stranger.client.can(QUESTION)).toBe(false)
    expect(stranger.fake.asked).toHaveLength(1)
  })

  test('a login that hangs denies within the time-out', async () => {
    const { client } = await against(() => {}, { as: { credentials }, timeoutMs: 200 })
    expect(await codeOf(client.authorize(QUESTION))).toBe('timeout')
  })

  test.each<[string, (give: () => Promise<string>) => Authentication]>([
    ['credentials', (give) => ({ credentials: async () => ({ method: 'api_key', api_key: await give() }) })],
    ['a token', (give) => ({ token: give })],
  ])('%s that never come deny within the time-out, and are asked for anew after it', async (_, as) => {
    const { behave, revoke } = issuing()
    let times = 0
    const give = () => (++times === 1 ? new Promise<string>(() => {}) : Promise.resolve('t1'))
    const { client } = await against(behave, { as: as(give), timeoutMs: 3_000 })
    if ('token' in as(give)) revoke()
    expect(await codeOf(client.authorize(QUESTION))).toBe('timeout')
    await expect.poll(() => client.can(QUESTION)).toBe(true)
    expect(times).toBe(2)
  })

  test('tokens that somebody else keeps are asked for again when one is refused', async () => {
    const { behave, revoke } = issuing()
    revoke()
    let given = 0
    const refusals: (string | undefined)[] = []
    const token = (refused?: string) => {
      refusals.push(refused)
      return `t${given++}`
    }
    const { client } = await against(behave, { as: { token } })
    expect(await client.can(QUESTION)).toBe(true)
    expect(refusals).toEqual([undefined, 't0'])
    const failing = await against(behave, {
      as: {
        token: () => {
          throw new Error('no login')
        },
      },
    })
    expect(await codeOf(failing.client.authorize(QUESTION))).toBe('bad_request')
  })
})
