import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { assemble } from './coalition/assemble.ts'
import { play, type Send } from './coalition/play.ts'
import { newKey, PROJECT, startProgram, stopProgram } from './program.ts'

/**
 * `coalition [--calls 10000] [--seed 1]`: random administrative calls by a coalition of callers without `pdp:admin`,
 * against the built service. Status 1 if one of them came to hold what none of them held.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = { calls: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } as const
  const { values } = parseArgs({ args: [...args], options })
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-coalition-'))
  const [rootKey, adminKey] = [newKey('root'), newKey('admin')]
  const env = {
    VERDICT_DATA_DIR: dataDir,
    VERDICT_ROOT_KEY: rootKey,
    VERDICT_ADMIN_KEY: adminKey,
    VERDICT_PRESET: 'none',
  }
  const program = await startProgram(PROJECT, env)
  try {
    const send = sendTo(program.url)
    const { members, oracle, holders } = await assemble(send, adminKey)
    const began = performance.now()
    const played = await play(send, members, oracle, holders, {
      seed: Number(values.seed),
      calls: Number(values.calls),
      every: 1000,
    })
    console.log(
      JSON.stringify({ ...played, seed: Number(values.seed), seconds: Math.round((performance.now() - began) / 1000) }),
    )
    if (played.reached.length > 0) process.exitCode = 1
  } finally {
    await stopProgram(program)
    await rm(dataDir, { recursive: true, force: true })
  }
}

function sendTo(url: string): Send {
  return async ({ method, path, body, headers }, key) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return {
      status: response.status,
      body: /[/+]json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : text,
    }
  }
}
