import { formatKey, noteText, openNote, parseKey, type Signer, signNote, type VerifierKey } from './note.ts'

/** What a key signs of the one that follows it. */
export function endorse(next: VerifierKey, by: Signer): string {
  return signNote(textOf(by.key.name, next), by)
}

/** These keys, and those that one of them has endorsed, and so on. Of a log only keys of its own name are its keys. */
export function withEndorsed(keys: readonly VerifierKey[], endorsements: readonly string[]): VerifierKey[] {
  const trusted = [...keys]
  for (let left = endorsements, before = -1; left.length !== before; ) {
    before = left.length
    left = left.filter((note) => {
      const next = endorsed(note, trusted)
      if (next !== undefined) trusted.push(next)
      return next === undefined
    })
  }
  return trusted
}

function endorsed(note: string, trusted: readonly VerifierKey[]): VerifierKey | undefined {
  const opened = openNote(note, trusted)
  if ('fault' in opened) return undefined
  const { name } = opened.key
  const next = parseKey(opened.text.split('\n')[1] ?? '')
  return next?.name === name && opened.text === textOf(name, next) ? next : undefined
}

function textOf(log: string, next: VerifierKey): string {
  return noteText([`${log}/key`, formatKey(next)])
}
