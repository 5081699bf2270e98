import { stat } from 'node:fs/promises'
import { afterEach, expect, test } from 'vitest'
import { hashOfNothing, isOutdated, PARAMETERS } from '../../src/authn/password/argon2.ts'
import { type PasswordHasher, passwordHasher } from '../../src/authn/password/hasher.ts'
import { passwordProblems } from '../../src/authn/password/rules.ts'

const open: PasswordHasher[] = []
afterEach(async () => {
  for (const hasher of open.splice(0)) await hasher.close()
})

function hasherWith(threads: number, queue: number): PasswordHasher {
  const hasher = passwordHasher({ threads, queue })
  open.push(hasher)
  return hasher
}

test('a hash says how it was made, and fits its password alone', async () => {
  const hasher = hasherWith(1, 8)
  const hash = await hasher.hash('nine green bottles')
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(hash).not.toBe(await hasher.hash('nine green bottles'))
  expect(await hasher.verify('nine green bottles', hash)).toBe(true)
  expect(await hasher.verify('nine green bottle', hash)).toBe(false)
})

test('what waits is bounded: the rest is turned away at once', async () => {
  const hasher = hasherWith(1, 3)
  const all = await Promise.allSettled(Array.from({ length: 10 }, () => hasher.hash('x')))
  const failed = all.filter(({ status }) => status === 'rejected')
  expect(failed.length).toBe(6)
  expect(failed[0]).toMatchObject({ reason: { code: 'busy', retryAfter: 1 } })
  expect(await hasher.hash('x')).toContain('$argon2id$')
})

test("hashing leaves libuv's threads to the disk", async () => {
  const hasher = hasherWith(1, 64)
  await hasher.hash('warm')
  const hashing = Promise.all(Array.from({ length: 40 }, () => hasher.hash('x')))
  let isDone = false
  void hashing.then(() => {
    isDone = true
  })
  // In libuv's pool of four, forty hashes would stand before these.
  await Promise.all(Array.from({ length: 8 }, () => stat('.')))
  expect(isDone).toBe(false)
  await hashing
})

test('who waits when it closes is told, and so is who comes later', async () => {
  const hasher = hasherWith(1, 64)
  const waiting = Promise.allSettled(Array.from({ length: 10 }, () => hasher.hash('x')))
  await hasher.close()
  const codes = (await waiting).map((result) => (result.status === 'rejected' ? result.reason.code : 'done'))
  expect(codes.filter((code) => code === 'shutting_down').length).toBe(10)
  await expect(hasher.hash('x')).rejects.toMatchObject({ code: 'shutting_down' })
})

test('what is verified where there is no account has the parameters of the accounts', async () => {
  const hash = hashOfNothing()
  expect(isOutdated(hash)).toBe(false)
  expect(await hasherWith(1, 8).verify('x', hash)).toBe(false)
  expect(hash).toContain(`m=${PARAMETERS.memoryCost}`)
})

test('a hash that cannot be read fits nothing', async () => {
  await expect(hasherWith(1, 8).verify('x', 'nonsense')).resolves.toBe(false)
})

test.each([
  ['correct horse battery staple'],
  ['Tr0ub4dor&3 and more'],
  ['密码很长但是没有人会猜到它'],
  ['ada and nobody else'],
  ['password of a small grey cat'],
])('%s is no common password', async (password) => {
  expect(await passwordProblems(password, ['ada', 'acme'])).toEqual([])
})
