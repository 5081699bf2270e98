import { expect, test } from 'vitest'
import { secretHash } from '../../src/authn/api-key.ts'
import { LastCredentials, readCredential } from '../../src/authn/credential.ts'

const SECRET = 'a_b-'.repeat(10)
const KEY = `Bearer vdt_abcd1234_${SECRET}`

test('an API key is read as its id and the hash of its secret', () => {
  expect(readCredential(KEY)).toEqual({ key: { id: 'abcd1234', sha256: secretHash(SECRET) } })
  expect(readCredential(`bearer   ${KEY.slice(7)}`)).toEqual(readCredential(KEY))
})

test('what is no API key is read as a token', () => {
  expect(readCredential('Bearer ey.J')).toEqual({ key: undefined, token: 'ey.J' })
})

test.each([undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'Bearer a b', 'Bearer ä'])(
  '%j presents nothing',
  (text) => {
    expect(readCredential(text)).toBeUndefined()
  },
)

test('an API key that a connection presents again is not read again', () => {
  const last = new LastCredentials()
  const [one, other] = [{}, {}]
  const first = last.read(one, KEY)
  expect(last.read(one, `${KEY.slice(0, 6)}${KEY.slice(6)}`)).toBe(first)
  expect(last.read(other, KEY)).not.toBe(first)
  expect(last.read(other, KEY)).toEqual(first)
})

test('another text is read, wherever it differs', () => {
  const last = new LastCredentials()
  const connection = {}
  last.read(connection, KEY)
  for (let at = KEY.length - SECRET.length; at < KEY.length; at++) {
    const text = `${KEY.slice(0, at)}${KEY[at] === 'x' ? 'y' : 'x'}${KEY.slice(at + 1)}`
    expect(last.read(connection, text)).toEqual(readCredential(text))
  }
  expect(last.read(connection, `${KEY}x`)).toEqual(readCredential(`${KEY}x`))
  expect(last.read(connection, KEY.slice(0, -1))).toEqual(readCredential(KEY.slice(0, -1)))
  expect(last.read(connection, undefined)).toBeUndefined()
  expect(last.read(connection, KEY)).toEqual(readCredential(KEY))
})

test('a header that is filled up is not kept', () => {
  const last = new LastCredentials()
  const connection = {}
  const long = `Bearer${' '.repeat(300)}${KEY.slice(7)}`
  const first = last.read(connection, long)
  expect(first).toEqual(readCredential(KEY))
  expect(last.read(connection, long)).not.toBe(first)
})
