import { join } from 'node:path'
import type { Config } from '../config.ts'
import { Failure } from '../failure.ts'
import { generatedKeys, type Keys } from '../store/generated-keys.ts'

/** Somebody looks at it, or nobody does. */
export interface Screen {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** The deployment's keys: configured, or with the embedded database made by its first start and shown this once. */
export async function keysFor(config: Config, dataDir: string, screen: Screen): Promise<Keys> {
  const { rootKey, adminKey, masterKey, previousMasterKey } = config
  if (config.databaseUrl === undefined) {
    const given = {
      ...(rootKey && { rootKey }),
      ...(adminKey && { adminKey }),
      ...(masterKey && { masterKey }),
      previousMasterKey,
    }
    const keys = await generatedKeys(dataDir, given)
    if (screen.isTTY === true)
      for (const { name, value, file } of keys.made) screen.write(`${name} key: ${value}  (${file})\n`)
    return keys
  }
  // readConfig has asked for both.
  if (rootKey === undefined || masterKey === undefined) {
    throw new Failure('unsafe_configuration', 'with DATABASE_URL, VERDICT_ROOT_KEY and VERDICT_MASTER_KEY are required')
  }
  return { rootKey, adminKey, masterKey, previousMasterKey }
}

export function journalRoot(dataDir: string): string {
  return join(dataDir, 'journal')
}
