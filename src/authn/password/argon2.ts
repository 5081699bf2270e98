import { randomBytes } from 'node:crypto'
import { hashSync, type Options, verifySync } from '@node-rs/argon2'

/** Argon2id as OWASP asks: 19 MiB, two passes, one lane. A password with a lesser hash is hashed anew at its login. */
export const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const satisfies Options

export type HashTask =
  | { readonly kind: 'hash'; readonly password: string }
  | { readonly kind: 'verify'; readonly password: string; readonly hash: string }

/** Takes this thread for some 25 ms: to be called in a worker. @returns the PHC string, or whether it matched. */
export function perform(task: HashTask): string | boolean {
  return task.kind === 'hash' ? hashSync(task.password, PARAMETERS) : matches(task.password, task.hash)
}

function matches(password: string, hash: string): boolean {
  try {
    return verifySync(hash, password)
  } catch {
    // It is no PHC string: nothing fits it.
    return false
  }
}

/** Whether a hash was made with less than what is asked now. */
export function isOutdated(hash: string): boolean {
  const [, m, t, p] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(hash) ?? []
  const { memoryCost, timeCost, parallelism } = PARAMETERS
  return m === undefined || Number(m) < memoryCost || Number(t) < timeCost || Number(p) < parallelism
}

/** The hash of no password, with the same parameters: what is verified where there is no account. */
export function hashOfNothing(): string {
  const { memoryCost, timeCost, parallelism } = PARAMETERS
  const part = (bytes: number) => randomBytes(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${part(16)}$${part(32)}`
}
