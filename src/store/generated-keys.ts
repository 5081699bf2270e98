import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { writeSecret } from './secret-file.ts'

export interface Keys {
  readonly rootKey: string
  readonly adminKey: string | undefined
  /** 32 bytes. */
  readonly masterKey: Buffer
  /** The one that is being replaced. */
  readonly previousMasterKey: Buffer | undefined
}

export interface KeysAtHand extends Keys {
  /** What was made just now: the caller shows it once, to a terminal only. */
  readonly made: readonly { readonly name: string; readonly value: string; readonly file: string }[]
}

/**
 * The keys for the embedded database: what is not given stands in the data directory (`root.key`, `admin.key`,
 * `master.key`, for us alone to read), where the first start puts it.
 */
export async function generatedKeys(dataDir: string, given: Partial<Keys>): Promise<KeysAtHand> {
  const made: { name: string; value: string; file: string }[] = []
  async function kept(name: string, generate: () => string): Promise<string> {
    const file = join(dataDir, `${name}.key`)
    const known = await readKey(file)
    if (known !== undefined) return known
    const value = generate()
    await writeSecret(file, `${value}\n`)
    made.push({ name, value, file })
    return value
  }
  const rootKey = given.rootKey ?? (await kept('root', () => apiKey('root')))
  const adminKey = given.adminKey ?? (await kept('admin', () => apiKey('admin')))
  const masterKey =
    given.masterKey ?? Buffer.from(await kept('master', () => randomBytes(32).toString('base64')), 'base64')
  if (masterKey.length !== 32) {
    throw new Failure('unsafe_configuration', `${join(dataDir, 'master.key')} does not hold 32 bytes in base64`)
  }
  return { rootKey, adminKey, masterKey, previousMasterKey: given.previousMasterKey, made }
}

function apiKey(id: string): string {
  return `vdt_${id}${randomBytes(4).toString('hex')}_${randomBytes(32).toString('base64url')}`
}

async function readKey(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT') return undefined
    throw new Failure('unsafe_configuration', `${file} can't be read (${String(code)})`, { cause })
  }
}
