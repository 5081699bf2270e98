import { readFile, stat } from 'node:fs/promises'

/** What a run reads, each file with how it stood before it was read: whatever changes after that is seen to have. */
export class Reading {
  readonly stamps = new Map<string, string>()

  async text(path: string): Promise<string> {
    this.stamps.set(path, await stampOf(path))
    return readFile(path, 'utf8')
  }
}

/** Another one: the file was written since. */
export async function stampOf(path: string): Promise<string> {
  return stat(path).then(
    ({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`,
    (error) => String(error),
  )
}
