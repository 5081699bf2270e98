import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { Failure } from '../failure.ts'

const ALGORITHM = 'aes-256-gcm'
const VERSION = 1
const NONCE = 12
const TAG = 16

/** What is sealed is bound to what it is for and whose it is: put in another's place, it does not open. */
export interface Label {
  readonly purpose: string
  readonly id: string
}

/** AES-256-GCM under the master key: one byte of version, the nonce, the tag, the ciphertext. */
export function seal(masterKey: Buffer, label: Label, plaintext: Buffer): Buffer {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv(ALGORITHM, masterKey, nonce, { authTagLength: TAG })
  cipher.setAAD(associated(label))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), ciphertext])
}

/** @throws Failure `unsafe_configuration`: another master key, another label, or changed bytes. */
export function unseal(masterKey: Buffer, label: Label, sealed: Buffer): Buffer {
  try {
    if (sealed[0] !== VERSION) throw new Error(`version ${sealed[0]} of sealing is not known`)
    const nonce = sealed.subarray(1, 1 + NONCE)
    const decipher = createDecipheriv(ALGORITHM, masterKey, nonce, { authTagLength: TAG })
    decipher.setAAD(associated(label))
    decipher.setAuthTag(sealed.subarray(1 + NONCE, 1 + NONCE + TAG))
    return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE + TAG)), decipher.final()])
  } catch (cause) {
    const what = `${label.purpose} ${label.id}`
    throw new Failure('unsafe_configuration', `VERDICT_MASTER_KEY does not open ${what}: it was sealed under another`, {
      cause,
    })
  }
}

// With the length of the first part, no two labels come to the same bytes.
function associated({ purpose, id }: Label): Buffer {
  return Buffer.from(`verdict ${VERSION} ${Buffer.byteLength(purpose)} ${purpose} ${id}`)
}
