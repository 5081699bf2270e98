import { Readable } from 'node:stream'
import { run } from '../../src/cli/program.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** One command line, in this process. */
export async function verdict(
  argv: readonly string[],
  given: { stdin?: string; env?: NodeJS.ProcessEnv; isTTY?: boolean } = {},
): Promise<Ran> {
  let stdout = ''
  let stderr = ''
  const { isTTY = false } = given
  const status = await run(argv, {
    env: given.env ?? {},
    stdin: Readable.from(given.stdin === undefined ? [] : [given.stdin]),
    stdout: { write: (text) => (stdout += text), isTTY },
    stderr: { write: (text) => (stderr += text), isTTY },
  })
  return { status, stdout, stderr }
}
