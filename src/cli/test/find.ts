import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Failure } from '../../failure.ts'

const NAMED = /\.cases\.(ya?ml|json)$/
const YAML = /\.ya?ml$/
// A document whose outermost member `cases` stands at the beginning of a line, as it does in YAML.
const HAS_CASES = /^["']?cases["']?[ \t]*:/m

/**
 * The files of cases behind the paths of a command line: each once, in the order of the paths, and within a folder by
 * name. A file that is named is one, whatever its name.
 */
export async function findCaseFiles(paths: readonly string[]): Promise<string[]> {
  const files = new Map<string, string>()
  for (const path of paths) {
    const found = (await lookAt(path)) === 'file' ? [path] : await filesBelow(path)
    for (const file of found) if (!files.has(resolve(file))) files.set(resolve(file), file)
  }
  return [...files.values()]
}

async function lookAt(path: string): Promise<'file' | 'folder'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file'
  } catch (cause) {
    throw new Failure('invalid_request', `could not read ${path}: ${whyUnread(cause)}`, { cause })
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const files: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      // Where policies do not stand, and where looking takes long.
      if (entry.name !== 'node_modules' && !entry.name.startsWith('.')) files.push(...(await filesBelow(path)))
    } else if (await isCaseFile(entry, path)) files.push(path)
  }
  return files
}

async function isCaseFile(entry: Dirent, path: string): Promise<boolean> {
  const isNamed = NAMED.test(entry.name)
  if (!isNamed && !YAML.test(entry.name)) return false
  if (entry.isSymbolicLink() ? (await lookAt(path)) === 'folder' : !entry.isFile()) return false
  return isNamed || HAS_CASES.test(await readFile(path, 'utf8'))
}

/** Why a file could not be read. */
export function whyUnread(error: unknown): string {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
    ? 'there is no such file'
    : messageOf(error)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
