import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { endorse, withEndorsed } from '../../src/audit/endorsement.ts'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { formatKey, noteText, type Signer, signNote, type VerifierKey, verifierKey } from '../../src/audit/note.ts'
import { Shipper } from '../../src/audit/shipper.ts'
import { verifyTrail } from '../../src/audit/verify/whole.ts'
import { openSealing } from '../../src/serve/sealing.ts'
import { withEvidence } from '../../src/store/audit-evidence.ts'
import { listAuditKeys, rotateAuditKey } from '../../src/store/audit-keys.ts'
import { freshDatabase } from '../support/database.ts'
import { jwkOf } from '../support/jwk.ts'
import { event, keptLog, temporaryDirectory } from './support.ts'

const NAME = 'verdict.audit/test'

function made(name = NAME): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = Buffer.from(jwkOf(publicKey).x ?? '', 'base64url')
  return { key: verifierKey(name, raw), sign: (message) => sign(null, message, privateKey) }
}

const [first, second, third, stranger] = [made(), made(), made(), made()]

test('who trusts a key trusts those that follow it, in whatever order they are found', () => {
  const chain = [endorse(third.key, second), endorse(second.key, first)]
  expect(withEndorsed([first.key], chain)).toEqual([first.key, second.key, third.key])
  expect(withEndorsed([second.key], chain)).toEqual([second.key, third.key])
  expect(withEndorsed([third.key], chain)).toEqual([third.key])
})

test.each<[string, string]>([
  ['of a stranger', endorse(second.key, stranger)],
  ['of a key of another log', endorse(made('verdict.audit/other').key, first)],
  ['that says something besides', signNote(noteText([`${NAME}/key`, formatKey(second.key), 'more']), first)],
  ['that is about something else', signNote(noteText([`${NAME}/pruned`, formatKey(second.key)]), first)],
  ['that was changed', endorse(second.key, first).replace(formatKey(second.key), formatKey(stranger.key))],
])('no word %s makes a key trusted', (_what, note) => {
  expect(withEndorsed([first.key], [note])).toEqual([first.key])
})

test('a key that is rotated signs soon, in a process that runs, and the trail is sound by the old key alone', async () => {
  const database = await freshDatabase()
  onTestFinished(() => database.close())
  const masterKey = randomBytes(32)
  const dataDir = await temporaryDirectory()
  const sealing = await openSealing({ db: database.db, masterKey, dataDir, log: keptLog(), keysMs: 20 })
  onTestFinished(() => sealing.stop())
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off' })
  onTestFinished(() => journal.close())
  const seal = async () => {
    await journal.append('acme', encodeEvent(event()))
    await new Shipper({ source: journal, store: sealing.store, log: keptLog() }).drain(10_000)
    await sealing.seal()
  }
  await seal()
  const [old] = await listAuditKeys(database.db)
  const next = await rotateAuditKey(database.db, masterKey)
  expect((await listAuditKeys(database.db)).map(formatKey)).toEqual([next, old].map((key) => formatKey(key ?? next)))
  const last = async () => {
    const rows = await database.db.selectFrom('audit_checkpoints').select('note').orderBy('size', 'desc').execute()
    return rows[0]?.note ?? ''
  }
  const signature = (key: VerifierKey) => Buffer.from(key.id, 'hex').toString('base64').slice(0, 5)
  await expect
    .poll(async () => {
      await seal()
      return (await last()).split(' ').at(-1)?.slice(0, 5)
    })
    .toBe(signature(next))
  const findings = async (keys: readonly VerifierKey[]) =>
    (await withEvidence(database.db, (evidence) => verifyTrail(evidence, { keys }))).findings.shown
  if (old === undefined) throw new Error('there was no key')
  expect(await findings([old])).toEqual([])
  expect(await findings([made(old.name).key])).not.toEqual([])
})
