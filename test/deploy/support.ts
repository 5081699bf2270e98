import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'

export const DEPLOY = new URL('../../deploy/', import.meta.url)

/** Somebody else's document: what a test expects in it is there, or the test fails. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Document = any

/** The documents of a file below `deploy/`. What YAML would only warn of, a member that stands twice too, is an error. */
export function documents(path: string): readonly Document[] {
  return parseAllDocuments(readFileSync(new URL(path, DEPLOY), 'utf8')).map((parsed) => {
    const [problem] = [...parsed.errors, ...parsed.warnings]
    if (problem !== undefined) throw problem
    return parsed.toJS()
  })
}

/** Whether a tool is installed here. */
export function hasTool(name: string, ...args: readonly string[]): boolean {
  return spawnSync(name, args, { stdio: 'ignore' }).status === 0
}

/** What a tool says; fails with it where it ends with another status than 0. */
export function run(name: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}
