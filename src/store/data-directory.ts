import { access, constants, mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Failure } from '../failure.ts'

/** Makes the data directory where there is none. @returns its absolute path. */
export async function openDataDirectory(path: string): Promise<string> {
  const directory = resolve(path)
  try {
    // As root, Postgres runs as another user, who must pass through (and still can't list what is there).
    await mkdir(directory, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return directory
  } catch (cause) {
    const detail = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new Failure('unsafe_configuration', `the data directory ${directory} can't be used (${detail})`, { cause })
  }
}
