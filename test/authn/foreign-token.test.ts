import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Registrations } from '../../src/authn/issuer/registrations.ts'
import { TrustedTokens } from '../../src/authn/issuer/trusted-tokens.ts'
import type { Identity, Refused } from '../../src/authn/issuer/verify.ts'
import { parseJson } from '../../src/http/json.ts'
import type { Issuer } from '../../src/policy/issuer.ts'
import { type Signer, signer } from '../support/issuer.ts'
import { jwkOf } from '../support/jwk.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const SECOND = NOW / 1000
const ISS = 'https://idp.test/realms/main'
const now = () => NOW

const corp = signer(ISS, now, 'corp-1')
const stranger = signer(ISS, now, 'corp-1')
const partner = signer('https://partner.test', now, 'partner-1')
const rsa = signer(ISS, now, 'rsa-1', 'RS256')
const edwards = signer(ISS, now, 'ed-1', 'EdDSA')
const short = signer(ISS, now, 'short-1', 'RS256 of 1024 bits')

const fetched: string[] = []
const tools = {
  parseJson,
  warn: () => undefined,
  fetchJson: async (url: string) => {
    fetched.push(url)
    throw new Error('nothing is to be fetched here')
  },
}

const registration = (signers: readonly Signer[], more: Partial<Issuer> = {}): Issuer => ({
  name: 'corp',
  issuer: ISS,
  jwks: { keys: signers.map(({ jwk }) => jwk) },
  audiences: ['verdict'],
  algorithms: ['ES256'],
  claims: { subject: { type: 'user' } },
  ...more,
})

function trusting(...issuers: readonly Issuer[]): Registrations {
  const all = new Registrations()
  for (const issuer of issuers) all.put(issuer.name, issuer, 1)
  return all
}

const here = trusting(
  registration([corp]),
  registration([partner], { name: 'partner', issuer: 'https://partner.test', claims: { subject: { type: 'guest' } } }),
)

const verify = async (token: string, registrations = here, at = NOW) =>
  new TrustedTokens(tools).verify('acme', registrations, token, at)

async function accepted(token: string, registrations?: Registrations, at?: number): Promise<Identity> {
  const verdict = await verify(token, registrations, at)
  if ('code' in verdict) throw new Error(`refused: ${verdict.detail}`)
  return verdict
}

async function refused(token: string, registrations?: Registrations, at?: number): Promise<Refused['code']> {
  const verdict = await verify(token, registrations, at)
  if ('code' in verdict) return verdict.code
  throw new Error(`accepted as ${verdict.subject.id}`)
}

const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
const header = (more: object = {}) => JSON.stringify({ alg: 'ES256', kid: 'corp-1', typ: 'JWT', ...more })
const claims = (more: object = {}) =>
  JSON.stringify({ iss: ISS, aud: 'verdict', sub: 'ann', iat: SECOND, exp: SECOND + 300, ...more })

/** The classic confusion: the public key, which everybody has, as the secret of an HMAC. */
function hmac(secret: string | Buffer): string {
  const input = `${b64(header({ alg: 'HS256' }))}.${b64(claims())}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

test('a token of a trusted issuer names its subject', async () => {
  const identity = await accepted(corp.token())
  expect(identity).toMatchObject({ subject: { type: 'user', id: 'ann' }, roles: [], properties: {}, jti: 'j1' })
  expect(identity.expires).toBe(NOW + 300_000)
})

test.each([
  ['EdDSA', edwards],
  ['RS256', rsa],
] as const)('a token may be signed by %s, where the registration says so', async (algorithm, by) => {
  const open = trusting(registration([by], { algorithms: [algorithm] }))
  expect((await accepted(by.token(), open)).subject.id).toBe('ann')
  const { alg: _alg, ...bare } = by.jwk
  const withoutAlg = trusting(registration([by], { algorithms: [algorithm], jwks: { keys: [bare] } }))
  expect((await accepted(by.token(), withoutAlg)).subject.id).toBe('ann')
  expect(await refused(by.token())).toBe('unverified')
})

describe('an attack on the signature is refused', () => {
  const [head = '', body = '', signature = ''] = corp.token().split('.')
  const pem = corp.publicKey.export({ type: 'spki', format: 'pem' })
  test.each<[string, string, Refused['code']]>([
    ['alg none', `${b64(header({ alg: 'none' }))}.${b64(claims())}.`, 'malformed'],
    ['alg none, with something for a signature', `${b64(header({ alg: 'none' }))}.${b64(claims())}.AA`, 'unverified'],
    ['alg NONE', `${b64(header({ alg: 'NONE' }))}.${b64(claims())}.AA`, 'unverified'],
    ['HS256 with the public key in PEM', hmac(pem), 'unverified'],
    ['HS256 with the public key in DER', hmac(corp.publicKey.export({ type: 'spki', format: 'der' })), 'unverified'],
    ['HS256 with the JWK', hmac(JSON.stringify(corp.jwk)), 'unverified'],
    ['another algorithm than the key is for', corp.signed(header({ alg: 'ES384' }), claims()), 'unverified'],
    ['somebody else who uses the same kid', stranger.token(), 'unverified'],
    ['another issuer with its own kid', partner.token({ iss: ISS }), 'unverified'],
    ['another issuer under this kid', partner.token({ iss: ISS }, { kid: 'corp-1' }), 'unverified'],
    ['this issuer in the name of another', corp.token({ iss: 'https://partner.test' }), 'unverified'],
    ['a kid that is not there', corp.token({}, { kid: 'corp-2' }), 'unverified'],
    ['a kid that is a path', corp.token({}, { kid: '../../../../dev/null' }), 'unverified'],
    ['a kid that is SQL', corp.token({}, { kid: "' or 1=1 --" }), 'unverified'],
    ['a kid that is no text', corp.token({}, { kid: 1 }), 'malformed'],
    ['a kid without end', corp.token({}, { kid: 'k'.repeat(513) }), 'malformed'],
    ['no signature', `${head}.${body}.`, 'malformed'],
    ['an empty signature of zeros', `${head}.${body}.${b64(Buffer.alloc(64))}`, 'unverified'],
    ['half a signature', `${head}.${body}.${signature.slice(0, 43)}`, 'unverified'],
    ['changed claims', `${head}.${b64(claims({ sub: 'root' }))}.${signature}`, 'unverified'],
    ['a changed header', `${b64(header({ extra: 1 }))}.${body}.${signature}`, 'unverified'],
    ['a crit that nobody knows', corp.token({}, { crit: ['exp'] }), 'unverified'],
    ['a payload that is not encoded', corp.token({}, { b64: false, crit: ['b64'] }), 'unverified'],
    ['b64 without crit', corp.token({}, { b64: false }), 'unverified'],
    ['five parts', `${corp.token()}.AA.AA`, 'malformed'],
    ['padding', `${corp.token()}=`, 'malformed'],
    ['the other alphabet', corp.token().replace(/[-_]|$/, '+'), 'malformed'],
    ['white space', ` ${corp.token()}`, 'malformed'],
    ['nothing', '', 'malformed'],
    ['an API key', 'vdt_abcd1234_0123456789abcdef0123456789abcdef', 'malformed'],
  ])('%s', async (_what, token, code) => {
    expect(await refused(token)).toBe(code)
  })

  test('a key that comes with the token is not looked at', async () => {
    const offers = { jwk: stranger.jwk, jku: 'https://evil.test/jwks', x5u: 'https://evil.test/cert', x5c: ['MIIB'] }
    expect(await refused(stranger.token({}, offers))).toBe('unverified')
    expect(await refused(stranger.token({}, { ...offers, kid: undefined }))).toBe('unverified')
    expect((await accepted(corp.token({}, offers))).subject.id).toBe('ann')
    expect(fetched).toEqual([])
  })

  test('a copy with another last character is verified by itself, never known', async () => {
    const tokens = new TrustedTokens(tools)
    const token = corp.token()
    await tokens.verify('acme', here, token, NOW)
    expect(tokens.verify('acme', here, token, NOW)).not.toBeInstanceOf(Promise)
    const last = token.at(-1) ?? ''
    for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.replace(last, '')) {
      expect(tokens.verify('acme', here, token.slice(0, -1) + other, NOW)).toBeInstanceOf(Promise)
    }
  })

  test('a forged token with the jti of a known one is not taken for it', async () => {
    const tokens = new TrustedTokens(tools)
    await tokens.verify('acme', here, corp.token({ jti: 'seen' }), NOW)
    expect(await tokens.verify('acme', here, stranger.token({ jti: 'seen' }), NOW)).toMatchObject({
      code: 'unverified',
    })
  })

  test('an algorithm that is not registered does not even make the keys be asked for', async () => {
    const { jwks: _jwks, ...remote } = registration([corp])
    for (const alg of ['HS256', 'none', 'RS256', 'ES384', 'constructor']) {
      expect(await refused(corp.token({}, { alg }), trusting(remote))).toBe('unverified')
    }
    expect(fetched).toEqual([])
  })

  test('an RSA key that is too short is no key', async () => {
    const weak = trusting(registration([short], { algorithms: ['RS256'] }))
    expect(await refused(short.token(), weak)).toBe('unverified')
  })

  test('RS256 is refused of a key that is for PS256', async () => {
    const key = { ...rsa.jwk, alg: 'PS256' }
    const open = trusting(registration([], { algorithms: ['RS256', 'PS256'], jwks: { keys: [key] } }))
    expect(await refused(rsa.token(), open)).toBe('unverified')
  })

  test('a token without kid is taken where one key alone can be meant', async () => {
    expect((await accepted(corp.token({}, { kid: undefined }))).subject.id).toBe('ann')
    const second = signer(ISS, now, 'corp-2')
    const two = trusting(registration([corp, second]))
    expect(await refused(corp.token({}, { kid: undefined }), two)).toBe('unverified')
    expect((await accepted(corp.token(), two)).subject.id).toBe('ann')
  })

  test('a key for encryption, or with its secret beside it, is no key', async () => {
    const secret = jwkOf(corp.privateKey)
    for (const more of [{ use: 'enc' }, { key_ops: ['encrypt'] }, secret]) {
      const open = trusting(registration([], { jwks: { keys: [{ ...corp.jwk, ...more }] } }))
      expect(await refused(corp.token(), open)).toBe('unverified')
    }
  })
})

describe('claims that are not as they should be are refused', () => {
  const later = (seconds: number) => SECOND + seconds
  test.each<[string, string, Refused['code']]>([
    ['no iss', corp.token({ iss: undefined }), 'malformed'],
    ['an iss with a slash more', corp.token({ iss: `${ISS}/` }), 'untrusted'],
    ['an iss in another case', corp.token({ iss: ISS.toUpperCase() }), 'untrusted'],
    ['an iss that nobody registered', corp.token({ iss: 'https://evil.test' }), 'untrusted'],
    ['an iss that is a list', corp.token({ iss: [ISS] }), 'malformed'],
    ['an iss named as a member of objects', corp.token({ iss: '__proto__' }), 'untrusted'],
    ['no aud', corp.token({ aud: undefined }), 'malformed'],
    ['an aud for somebody else', corp.token({ aud: 'billing' }), 'unfit'],
    ['an empty list of aud', corp.token({ aud: [] }), 'unfit'],
    ['an aud that only begins so', corp.token({ aud: 'verdict2' }), 'unfit'],
    ['an aud that is an object', corp.token({ aud: { verdict: true } }), 'malformed'],
    ['no exp', corp.token({ exp: undefined }), 'malformed'],
    ['an exp that is text', corp.token({ exp: `${later(300)}` }), 'malformed'],
    ['an exp that is null', corp.token({ exp: null }), 'malformed'],
    ['an exp that has passed', corp.token({ iat: later(-300), exp: later(-31) }), 'expired'],
    ['an exp without end', corp.signed(header(), claims({ exp: 0 }).replace('"exp":0', '"exp":1e400')), 'malformed'],
    ['no iat', corp.token({ iat: undefined }), 'malformed'],
    ['an iat in the future', corp.token({ iat: later(31), exp: later(300) }), 'unfit'],
    ['an iat too long ago', corp.token({ iat: later(-86_431) }), 'expired'],
    ['an nbf in the future', corp.token({ nbf: later(31) }), 'unfit'],
    ['an nbf that is text', corp.token({ nbf: 'now' }), 'malformed'],
    ['no sub', corp.token({ sub: undefined }), 'malformed'],
    ['an empty sub', corp.token({ sub: '' }), 'malformed'],
    ['a sub that is an object', corp.token({ sub: { id: 'ann' } }), 'malformed'],
    ['a sub that is a list', corp.token({ sub: ['ann'] }), 'malformed'],
    ['a sub that is a number', corp.token({ sub: 7 }), 'malformed'],
    ['a sub that is too long', corp.token({ sub: 'a'.repeat(513) }), 'malformed'],
    ['a sub with a control character', corp.token({ sub: 'ann\n' }), 'unfit'],
    ['a sub with NUL', corp.token({ sub: 'ann\u0000' }), 'malformed'],
    ['a sub with half a character', corp.signed(header(), claims().replace('ann', '\\ud800')), 'malformed'],
    ['a jti that is no text', corp.token({ jti: { $ne: 1 } }), 'malformed'],
    ['a jti without end', corp.token({ jti: 'j'.repeat(513) }), 'malformed'],
    ['a claim twice', corp.signed(header(), claims().replace('"sub":"ann"', '"sub":"ann","sub":"root"')), 'malformed'],
    ['a header twice', corp.signed(header().replace('{', '{"alg":"none",'), claims()), 'malformed'],
    ['a claim named __proto__', corp.signed(header(), claims().replace('{', '{"__proto__":{"x":1},')), 'malformed'],
    ['what nests too deep', corp.token({ deep: JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`) }), 'malformed'],
    ['claims that are a list', corp.signed(header(), '[]'), 'malformed'],
    ['claims that are no JSON', corp.signed(header(), 'ann'), 'malformed'],
    ['claims that are not UTF-8', `${b64(header())}.${b64(Buffer.from([0x22, 0xff, 0x22]))}.AA`, 'malformed'],
    ['more than 16 KiB', corp.token({ filler: 'x'.repeat(16_384) }), 'malformed'],
    ['another typ', corp.token({}, { typ: 'logout+jwt' }), 'unverified'],
    ['a typ that is no text', corp.token({}, { typ: 1 }), 'malformed'],
  ])('%s', async (_what, token, code) => {
    expect(await refused(token)).toBe(code)
  })

  test('within the tolerance clocks may differ', async () => {
    const tokens = [{ iat: SECOND - 300, exp: SECOND - 29 }, { iat: SECOND + 29 }, { nbf: SECOND + 29 }]
    for (const claim of tokens) expect((await accepted(corp.token(claim))).subject.id).toBe('ann')
    const strict = trusting(registration([corp], { clock_tolerance: 0 }))
    for (const claim of tokens) expect(['expired', 'unfit']).toContain(await refused(corp.token(claim), strict))
  })

  test('typ may be what the registration says, in any case and form; left out it is JWT', async () => {
    for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'JWT', 'jwt', undefined]) {
      expect((await accepted(corp.token({}, { typ }))).subject.id).toBe('ann')
    }
    const strict = trusting(registration([corp], { token_types: ['at+jwt'] }))
    for (const typ of ['JWT', undefined]) expect(await refused(corp.token({}, { typ }), strict)).toBe('unverified')
  })

  test('aud may be a list that holds one of the registered', async () => {
    expect((await accepted(corp.token({ aud: ['billing', 'verdict'] }))).subject.id).toBe('ann')
  })
})

describe('what a token says becomes', () => {
  const mapped = (more: Issuer['claims'], allowed: string[] = []) =>
    trusting(registration([corp], { claims: more, allowed_roles: allowed }))
  const user = { subject: { type: 'user' } }

  test('a subject, from any claim and with a prefix', async () => {
    const by = mapped({ subject: { type: 'person', claim: '/profile/mail', prefix: 'corp:' } })
    const { subject } = await accepted(corp.token({ profile: { mail: 'ann@corp.test' } }), by)
    expect(subject).toEqual({ type: 'person', id: 'corp:ann@corp.test' })
    for (const profile of [undefined, {}, { mail: '' }, { mail: 1 }, { mail: ['ann'] }, 'mail', { mail: 'a\u0007' }]) {
      expect(await refused(corp.token({ profile }), by)).toBe('unfit')
    }
  })

  test('properties, absent where the token does not say them', async () => {
    const properties = { department: 'dept', level: '/https:~1~1corp.test/level', tags: 'tags', none: 'none' }
    const by = mapped({ ...user, properties })
    const said = { dept: 'sales', 'https://corp.test': { level: 3 }, tags: ['a', { b: null }] }
    const { properties: found } = await accepted(corp.token(said), by)
    expect(found).toEqual({ department: 'sales', level: 3, tags: ['a', { b: null }] })
  })

  test('never what objects have of themselves', async () => {
    const by = mapped({ ...user, properties: { a: 'constructor', b: '/profile/toString', c: '/list/length' } })
    expect((await accepted(corp.token({ profile: {}, list: [1] }), by)).properties).toEqual({})
  })

  test('roles, by the map, and of those that are allowed alone', async () => {
    const roles = { claim: 'groups', map: { '/eng': 'editor', admins: 'pdp:admin' } }
    const by = mapped({ ...user, roles }, ['editor'])
    const { roles: held } = await accepted(
      corp.token({ groups: ['/eng', '/eng', 'admins', 'constructor', 'editor'] }),
      by,
    )
    expect(held).toEqual(['editor'])
  })

  test('roles, by their own names where there is no map', async () => {
    const by = mapped({ ...user, roles: { claim: 'scope', separator: ' ' } }, ['reader', 'writer'])
    expect((await accepted(corp.token({ scope: 'openid reader pdp:admin' }), by)).roles).toEqual(['reader'])
    expect((await accepted(corp.token(), by)).roles).toEqual([])
  })

  test('nothing, where a role or a property is there and cannot be read', async () => {
    const by = mapped({ ...user, roles: { claim: 'groups' }, properties: { dept: 'dept' } }, ['reader'])
    for (const groups of [{ reader: true }, 7, ['reader', 7], Array(1001).fill('x')]) {
      expect(await refused(corp.token({ groups }), by)).toBe('unfit')
    }
    for (const claim of ['groups', 'dept']) {
      const elsewhere = { _claim_names: { [claim]: 'src1' }, _claim_sources: { src1: { endpoint: 'https://x.test' } } }
      expect(await refused(corp.token(elsewhere), by)).toBe('unfit')
    }
  })

  test('nothing, where it does not say what the registration requires', async () => {
    const by = mapped({ ...user, required: { hd: 'corp.test', azp: ['app', 'cli'], email_verified: true } })
    const right = { hd: 'corp.test', azp: 'cli', email_verified: true }
    expect((await accepted(corp.token(right), by)).subject.id).toBe('ann')
    for (const wrong of [{ hd: 'evil.test' }, { hd: undefined }, { azp: ['app'] }, { email_verified: 'true' }]) {
      expect(await refused(corp.token({ ...right, ...wrong }), by)).toBe('unfit')
    }
  })
})

describe('a token that is known', () => {
  const known = async (registrations = here, token = corp.token()) => {
    const tokens = new TrustedTokens(tools)
    await tokens.verify('acme', registrations, token, NOW)
    return (at = NOW, by = registrations, tenant = 'acme') => tokens.verify(tenant, by, token, at)
  }

  test('is at hand until it ends', async () => {
    const again = await known()
    expect(again()).toMatchObject({ subject: { id: 'ann' } })
    expect(again(NOW + 329_999)).toMatchObject({ subject: { id: 'ann' } })
    expect(await again(NOW + 330_000)).toMatchObject({ code: 'expired' })
  })

  test('ends with the age that the registration allows', async () => {
    const again = await known(trusting(registration([corp], { max_token_age: 60 })))
    expect(await again(NOW + 91_000)).toMatchObject({ code: 'expired' })
  })

  test('ends when its issuer is removed, disabled or registered anew', async () => {
    const registrations = trusting(registration([corp]))
    const again = await known(registrations)
    registrations.put('corp', registration([corp], { audiences: ['other'] }), 2)
    expect(await again()).toMatchObject({ code: 'unfit' })
    registrations.put('corp', registration([corp], { enabled: false }), 3)
    expect(await again()).toMatchObject({ code: 'untrusted' })
    registrations.put('corp', registration([corp]), 4)
    expect(await again()).toMatchObject({ subject: { id: 'ann' } })
    registrations.remove('corp')
    expect(await again()).toMatchObject({ code: 'untrusted' })
  })

  test('of one tenant is nothing to another', async () => {
    const again = await known()
    expect(await again(NOW, trusting(), 'other')).toMatchObject({ code: 'untrusted' })
    expect(await again(NOW, trusting(registration([stranger])), 'other')).toMatchObject({ code: 'unverified' })
    expect(again()).toMatchObject({ subject: { id: 'ann' } })
  })
})
