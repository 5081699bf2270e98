import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { seal, unseal } from '../../src/authn/seal.ts'

const key = randomBytes(32)
const label = { purpose: 'signing key', id: 'a' }
const refused = { code: 'unsafe_configuration' }

describe('what is sealed', () => {
  test('opens under the same key and label, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), fc.string(), (bytes, purpose, id) => {
        const plaintext = Buffer.from(bytes)
        expect(unseal(key, { purpose, id }, seal(key, { purpose, id }, plaintext))).toEqual(plaintext)
      }),
    )
  })

  test('does not open under another key', () => {
    const sealed = seal(key, label, Buffer.from('secret'))
    expect(() => unseal(randomBytes(32), label, sealed)).toThrow(expect.objectContaining(refused))
  })

  test.each([
    { purpose: 'signing key', id: 'b' },
    { purpose: 'totp', id: 'a' },
    { purpose: 'signing', id: 'key a' },
    { purpose: 'signing key a', id: '' },
  ])('does not open under another label: $purpose / $id', (other) => {
    expect(() => unseal(key, other, seal(key, label, Buffer.from('secret')))).toThrow(expect.objectContaining(refused))
  })

  test('does not open when any one bit of it was changed', () => {
    const sealed = seal(key, label, Buffer.from('secret'))
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(() => unseal(key, label, changed)).toThrow(expect.objectContaining(refused))
    }
  })

  test('does not open when it was cut short', () => {
    const sealed = seal(key, label, Buffer.from('secret'))
    for (let length = 0; length < sealed.length; length++) {
      expect(() => unseal(key, label, sealed.subarray(0, length))).toThrow(expect.objectContaining(refused))
    }
  })

  test('differs each time, so that nobody sees that two secrets are the same', () => {
    expect(seal(key, label, Buffer.from('secret'))).not.toEqual(seal(key, label, Buffer.from('secret')))
  })
})
