import { describe, expect, test } from 'vitest'
import { KeySet } from '../../src/authn/issuer/key-set.ts'
import { type Issuer, normalIssuer } from '../../src/policy/issuer.ts'
import { signer } from '../support/issuer.ts'

const ISS = 'https://idp.test'
const DISCOVERY = `${ISS}/.well-known/openid-configuration`
const JWKS = 'https://keys.idp.test/jwks'
const MINUTE = 60_000

const [one, two] = [signer(ISS, () => 0, 'one'), signer(ISS, () => 0, 'two')]
const both = { keys: [one.jwk, two.jwk] }
const first = { keys: [one.jwk] }

const issuer = (more: Partial<Issuer> = {}): Issuer => ({
  name: 'idp',
  issuer: ISS,
  audiences: ['verdict'],
  algorithms: ['ES256'],
  claims: { subject: { type: 'user' } },
  ...more,
})

/** A server that answers as the test says, and counts. `undefined`: it is away. */
function server(answers: Record<string, unknown>) {
  const asked: string[] = []
  const warnings: string[] = []
  const source = {
    async fetchJson(url: string) {
      asked.push(url)
      if (answers[url] === undefined) throw new Error('away')
      return answers[url]
    },
    warn: (error: unknown) => void warnings.push(String(error)),
  }
  return { answers, asked, warnings, source }
}

const name = (kid?: string) => ({ kid, algorithm: 'ES256' })
const found = { key: expect.anything(), generation: expect.any(Number) }

test('keys come from where the discovery document says, or from where the registration does', async () => {
  const idp = server({ [DISCOVERY]: { issuer: ISS, jwks_uri: JWKS }, [JWKS]: first })
  expect(await new KeySet(normalIssuer(issuer())).find(name('one'), 0, idp.source)).toEqual(found)
  expect(idp.asked).toEqual([DISCOVERY, JWKS])
  const direct = server({ [JWKS]: first })
  expect(await new KeySet(normalIssuer(issuer({ jwks_uri: JWKS }))).find(name('one'), 0, direct.source)).toEqual(found)
  const elsewhere = 'https://idp.test/other/config'
  const other = server({ [elsewhere]: { issuer: ISS, jwks_uri: JWKS }, [JWKS]: first })
  const keys = new KeySet(normalIssuer(issuer({ discovery_url: elsewhere })))
  expect(await keys.find(name('one'), 0, other.source)).toEqual(found)
})

test.each([
  ['of another issuer', { issuer: 'https://evil.test', jwks_uri: JWKS }],
  ['of this issuer with a slash more', { issuer: `${ISS}/`, jwks_uri: JWKS }],
  ['that names no keys', { issuer: ISS }],
  ['that is no object', 'keys'],
])('a discovery document %s is not believed', async (_what, document) => {
  const idp = server({ [DISCOVERY]: document, [JWKS]: first })
  expect(await new KeySet(normalIssuer(issuer())).find(name('one'), 0, idp.source)).toBe('unavailable')
  expect(idp.asked).toEqual([DISCOVERY])
  expect(idp.warnings).toHaveLength(1)
})

describe('a key that is not known', () => {
  const remote = async (answer: unknown = first) => {
    const idp = server({ [JWKS]: answer })
    const keys = new KeySet(normalIssuer(issuer({ jwks_uri: JWKS })))
    await keys.find(name('one'), 0, idp.source)
    return { idp, ask: (kid: string, at: number) => keys.find(name(kid), at, idp.source), keys }
  }

  test('is asked for at most once a minute', async () => {
    const { idp, ask } = await remote()
    idp.answers[JWKS] = both
    for (let at = 0; at < MINUTE; at += 1000) expect(await ask('two', at)).toBe('unknown')
    expect(idp.asked).toHaveLength(1)
    expect(await ask('two', MINUTE)).toEqual(found)
    for (let at = MINUTE; at < 2 * MINUTE; at += 1000) expect(await ask('three', at)).toBe('unknown')
    expect(idp.asked).toHaveLength(2)
  })

  test('is asked for once, however many wait for it', async () => {
    const { idp, ask } = await remote()
    idp.answers[JWKS] = both
    expect(await Promise.all(Array.from({ length: 50 }, () => ask('two', MINUTE)))).toEqual(Array(50).fill(found))
    expect(idp.asked).toHaveLength(2)
  })

  test.each([
    ['nothing', undefined],
    ['an empty set', { keys: [] }],
    ['a set of keys that nothing can be done with', { keys: [{ kty: 'oct', k: 'AAAA' }, { kty: 'EC' }, 7, null] }],
    ['no set', { error: 'busy' }],
    ['a set without end', { keys: Array(101).fill(one.jwk) }],
  ])('does not cost the known ones where the server has %s', async (_what, answer) => {
    const { idp, ask } = await remote()
    idp.answers[JWKS] = answer
    expect(await ask('two', MINUTE)).toBe('unknown')
    expect(await ask('one', MINUTE)).toEqual(found)
    expect(idp.warnings).toHaveLength(1)
  })

  test('in a set with broken ones is found nevertheless', async () => {
    const { ask } = await remote({ keys: [{ kty: 'EC', kid: 'broken' }, 'x', { ...two.jwk, x: 'AAAA' }, one.jwk] })
    expect(await ask('one', 0)).toEqual(found)
    expect(await ask('two', 0)).toBe('unknown')
  })

  test('of which there are two of one name is none', async () => {
    const { ask } = await remote({ keys: [one.jwk, { ...two.jwk, kid: 'one' }] })
    expect(await ask('one', 0)).toBe('unknown')
  })
})

describe('keys grow old', () => {
  const remote = async () => {
    const idp = server({ [JWKS]: both })
    const keys = new KeySet(normalIssuer(issuer({ jwks_uri: JWKS })))
    await keys.find(name('one'), 0, idp.source)
    return { idp, keys }
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))

  test('after five minutes they are fetched anew behind the back of whoever uses them', async () => {
    const { idp, keys } = await remote()
    expect(keys.generation(5 * MINUTE - 1, idp.source)).toBe(1)
    expect(idp.asked).toHaveLength(1)
    idp.answers[JWKS] = first
    expect(keys.generation(5 * MINUTE, idp.source)).toBe(1)
    await settled()
    expect(idp.asked).toHaveLength(2)
    expect(keys.generation(5 * MINUTE, idp.source)).toBe(2)
    expect(await keys.find(name('two'), 5 * MINUTE, idp.source)).toBe('unknown')
  })

  test('the same keys again are no other generation', async () => {
    const { idp, keys } = await remote()
    keys.generation(5 * MINUTE, idp.source)
    await settled()
    expect([idp.asked.length, keys.generation(5 * MINUTE, idp.source)]).toEqual([2, 1])
  })

  test('after an hour without news they are used no more, and then again when there are some', async () => {
    const { idp, keys } = await remote()
    idp.answers[JWKS] = undefined
    for (let at = 5 * MINUTE; at < 60 * MINUTE; at += MINUTE) {
      expect(await keys.find(name('one'), at, idp.source)).toEqual(found)
      await settled()
    }
    expect(await keys.find(name('one'), 60 * MINUTE, idp.source)).toBe('unavailable')
    idp.answers[JWKS] = both
    expect(await keys.find(name('one'), 60 * MINUTE + 9_999, idp.source)).toBe('unavailable')
    expect(await keys.find(name('one'), 60 * MINUTE + 10_000, idp.source)).toEqual(found)
  })

  test('not those that stand in the registration', async () => {
    const idp = server({})
    const keys = new KeySet(normalIssuer(issuer({ jwks: first })))
    expect(await keys.find(name('one'), 10_000 * MINUTE, idp.source)).toEqual(found)
    expect(await keys.find(name('two'), 10_000 * MINUTE, idp.source)).toBe('unknown')
    expect(idp.asked).toEqual([])
  })
})
