import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file that only we can read: whole or not at all, and on the disk when this returns. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const draft = `${path}.new`
  const file = await open(draft, 'w', 0o600)
  try {
    // The mode above counts only for a file that was not there.
    await file.chmod(0o600)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  const directory = await open(dirname(path), 'r')
  await directory.sync().finally(() => directory.close())
}
