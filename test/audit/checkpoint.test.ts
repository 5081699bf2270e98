import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Checkpoint, openCheckpoint, signCheckpoint, writersRoot } from '../../src/audit/checkpoint.ts'
import { EMPTY_ROOT, leafHash, nodeHash } from '../../src/audit/merkle.ts'
import { formatKey, openNote, parseKey, type Signer, verifierKey } from '../../src/audit/note.ts'
import { notesIn } from '../../src/audit/seal/copies.ts'
import { jwkOf } from '../support/jwk.ts'

const WRITER = '01890a5d-ac96-774b-bcce-b302099a8057'

function newSigner(name = 'verdict.audit/test'): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = Buffer.from(jwkOf(publicKey).x ?? '', 'base64url')
  return { key: verifierKey(name, raw), sign: (message) => sign(null, message, privateKey) }
}

function checkpoint(facts: Partial<Checkpoint> = {}): Checkpoint {
  const root = leafHash(Buffer.from('a'))
  const list = { writers: 1, writers_root: writersRoot([{ writer: WRITER, size: 1, root }]) }
  return { writer: WRITER, size: 1, root, at: '2026-01-02T03:04:05.678Z', final: false, ...list, ...facts }
}

describe('a signed note', () => {
  // The example of golang.org/x/mod/sumdb/note: text, key and signature by another implementation.
  const EXAMPLE = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`
  const EXAMPLE_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'

  test('that another implementation made is accepted', () => {
    const key = parseKey(EXAMPLE_KEY)
    expect(key).toMatchObject({ name: 'PeterNeumann', id: 'c74f20a3' })
    expect(openNote(EXAMPLE, key === undefined ? [] : [key])).toMatchObject({ key })
    expect(key && formatKey(key)).toBe(EXAMPLE_KEY)
    expect(openNote(EXAMPLE.replace('cryptography', 'Cryptography'), key === undefined ? [] : [key])).toEqual({
      fault: 'its signature is wrong',
    })
  })

  test('is accepted with the signature of a key that is known among others', () => {
    const [ours, theirs] = [newSigner(), newSigner('witness.example')]
    const note = signCheckpoint(checkpoint(), ours)
    const text = note.slice(0, note.lastIndexOf('\n\n') + 1)
    const cosigned = `${note}— ${theirs.key.name} ${Buffer.concat([Buffer.from(theirs.key.id, 'hex'), theirs.sign(Buffer.from(text))]).toString('base64')}\n`
    expect(openNote(cosigned, [ours.key])).toMatchObject({ text, key: ours.key })
    expect(openNote(cosigned, [theirs.key])).toMatchObject({ text, key: theirs.key })
    expect(openNote(cosigned, [newSigner().key])).toEqual({ fault: 'no key that is known has signed it' })
  })

  test.each([
    ['nothing', ''],
    ['text', 'text\n'],
    ['no signature', 'text\n\n'],
    ['something after the signature', `${EXAMPLE}x\n`],
  ])('is not %s', (_what, note) => {
    const key = parseKey(EXAMPLE_KEY)
    expect(openNote(note, key === undefined ? [] : [key])).toEqual({ fault: 'it is no signed note' })
  })
})

describe('a checkpoint', () => {
  test('is a C2SP checkpoint with the time and the list of known writers in its extension lines', () => {
    const signer = newSigner()
    const lines = signCheckpoint(checkpoint({ final: true }), signer).split('\n')
    expect(lines.slice(0, 7)).toEqual([
      `verdict.audit/test/${WRITER}`,
      '1',
      leafHash(Buffer.from('a')).toString('base64'),
      'time 2026-01-02T03:04:05.678Z',
      expect.stringMatching(/^writers 1 [A-Za-z0-9+/]{43}=$/),
      'final',
      '',
    ])
    expect(lines[7]).toMatch(/^— verdict\.audit\/test [A-Za-z0-9+/]{91}=$/)
  })

  test('says what was signed', () => {
    const signer = newSigner()
    for (const facts of [checkpoint(), checkpoint({ final: true }), checkpoint({ size: 2 ** 50, writers: 12 })]) {
      expect(openCheckpoint(signCheckpoint(facts, signer), [signer.key])).toEqual({ ...facts, log: signer.key.name })
    }
  })

  test('says nothing once a character of it is another', () => {
    const signer = newSigner()
    const note = signCheckpoint(checkpoint(), signer)
    for (let at = 0; at < note.length; at += 7) {
      const changed = `${note.slice(0, at)}${note[at] === 'x' ? 'y' : 'x'}${note.slice(at + 1)}`
      expect(openCheckpoint(changed, [signer.key])).toHaveProperty('fault')
    }
  })

  test('is not any other text that its key has signed', () => {
    const signer = newSigner()
    for (const size of ['01', '-1', '1e3', '']) {
      const other = signCheckpoint(checkpoint(), signer).replace('\n1\n', `\n${size}\n`)
      const text = other.slice(0, other.lastIndexOf('\n\n') + 1)
      const signature = Buffer.concat([Buffer.from(signer.key.id, 'hex'), signer.sign(Buffer.from(text))])
      expect(openCheckpoint(`${text}\n— ${signer.key.name} ${signature.toString('base64')}\n`, [signer.key])).toEqual({
        fault: 'the note is signed, and is no checkpoint',
      })
    }
  })
})

test('the list of writers has one root, whatever order it comes in', () => {
  const one = { writer: WRITER, size: 1, root: EMPTY_ROOT }
  const other = { writer: WRITER.replace('0', 'f'), size: 0, root: EMPTY_ROOT }
  const leaf = (log: typeof one) => leafHash(Buffer.from(`${log.writer} ${log.size} ${log.root.toString('base64')}`))
  expect(writersRoot([other, one])).toEqual(nodeHash(leaf(one), leaf(other)))
  expect(writersRoot([one, other])).toEqual(writersRoot([other, one]))
  expect(writersRoot([one])).not.toEqual(writersRoot([{ ...one, size: 2 }]))
})

test('checkpoints are found in files of notes and among the lines of a log', () => {
  const signer = newSigner()
  const [one, two, three] = [1, 2, 3].map((size) => signCheckpoint(checkpoint({ size }), signer))
  const log = `{"level":"info","msg":"x"}\n${JSON.stringify({ checkpoint: two })}\n{"checkpoint":"cut`
  expect(notesIn(`${one}\n${three}`)).toEqual([one, three])
  expect(notesIn(log)).toEqual([two])
  expect(notesIn(`${JSON.stringify({ checkpoint: one })}\n${two}\n${JSON.stringify({ checkpoint: three })}\n`)).toEqual(
    [one, two, three],
  )
})

test('a key that was written wrongly is none', () => {
  const text = formatKey(newSigner().key)
  expect(parseKey(text)).toBeDefined()
  expect(parseKey(text.replace('verdict', 'vordict'))).toBeUndefined()
  expect(parseKey('')).toBeUndefined()
})
