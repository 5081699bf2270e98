import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The master key that the first start has put into the data directory of an embedded database, where none was given. */
export async function generatedMasterKey(dataDir: string): Promise<Buffer | undefined> {
  const text = await readFile(join(dataDir, 'master.key'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : Buffer.from(text.trim(), 'base64')
}
