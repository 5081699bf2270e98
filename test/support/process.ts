import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** The built program, as a process of its own. */
export interface Running {
  readonly url: string
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the exit status once the process has ended. */
  readonly ended: Promise<number | null>
}

const MAIN = new URL('../../dist/main.js', import.meta.url).pathname

// Below those that the system gives to whoever asks for any: until the process listens, nobody else is to come by it.
const FIRST_PORT = 12_000
const PORTS = 20_000

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** Starts `verdict serve` and waits until it answers. Only what is given is in its environment. */
export async function startProcess(env: Readonly<Record<string, string>>, main = MAIN): Promise<Running> {
  const port = env['VERDICT_PORT'] ?? String(await freePort())
  const own = {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    LOG_LEVEL: 'warn',
    VERDICT_DRAIN_DELAY: '0',
  }
  const child = spawn(process.execPath, [main, 'serve'], { env: { ...own, ...env, VERDICT_PORT: port } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'exit').then(([status]) => status as number | null)
  const url = `http://127.0.0.1:${port}`
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) throw new Error(`verdict serve ended with ${child.exitCode}:\n${output}`)
    if (
      await fetch(`${url}/livez`).then(
        (response) => response.ok,
        () => false,
      )
    )
      break
    await pause(50)
  }
  return { url, child, output: () => output, ended }
}

/** Ends it as a balancer would, and waits. */
export async function stopProcess({ child, ended }: Running): Promise<number | null> {
  child.kill('SIGTERM')
  return ended
}
