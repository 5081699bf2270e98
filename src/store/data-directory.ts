import { access, constants, mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Failure } from '../failure.ts'

/** Makes the data directory where there is none. @returns its absolute path. */
export async function openDataDirectory(path: string): Promise<string> {
  const directory = resolve(path)
  try {
    // As root, Postgres runs as another user, who must pass through (and still can't list what is there).
    await make(directory, process.getuid?.() === 0 ? 0o711 : 0o700)
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return directory
  } catch (cause) {
    const detail = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new Failure('unsafe_configuration', `the data directory ${directory} can't be used (${detail})`, { cause })
  }
}

/**
 * Makes a directory, and those above it. Not by Node's `recursive`, which tries for ever where a parent is there and
 * yet nothing can be made in it because "there is no such file or directory", as in /proc.
 */
async function make(directory: string, mode: number): Promise<void> {
  const parent = dirname(directory)
  if (parent !== directory && !(await isDirectory(directory))) {
    await make(parent, mode)
    await mkdir(directory, { mode }).catch(async (error: unknown) => {
      // Another process may have been quicker.
      if (!(await isDirectory(directory))) throw error
    })
  }
}

/** Whether it is there; fails where something else is. */
function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => {
      if (!found.isDirectory()) throw Object.assign(new Error(`${path} is no directory`), { code: 'ENOTDIR' })
      return true
    },
    () => false,
  )
}
