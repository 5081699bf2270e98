import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import autocannon from 'autocannon'

/** A server in a process of its own. */
interface Door {
  readonly name: string
  readonly url: string
  readonly key: string
  readonly stop: () => Promise<void>
}

interface Run {
  readonly door: string
  readonly requests_per_second: number
  readonly p50_ms: number
  readonly p99_ms: number
}

const ROOT = new URL('../../', import.meta.url)

/**
 * `POST /v1/authorize` against bare Fastify with the same schemas, one process each, alternating in one run. Every
 * request asks about a resource that nobody has asked about before; a rule with a condition allows it.
 */
export async function run(args: readonly string[]): Promise<void> {
  const seconds = numberOf(args, '--seconds', 8)
  const rounds = numberOf(args, '--rounds', 3)
  const levels = [32, 64, 256]
  const verdict = await startVerdict()
  const bare = await startBare()
  try {
    await prepare(verdict)
    await checkAnswers(verdict)
    for (const door of [verdict, bare]) await load(door, 64, 3)
    const runs: (Run & { connections: number })[] = []
    for (const connections of levels) {
      for (let round = 0; round < rounds; round++) {
        for (const door of [bare, verdict]) {
          runs.push({ connections, ...(await load(door, connections, seconds)) })
          await pause(1000)
        }
      }
    }
    report(levels, runs)
  } finally {
    await verdict.stop()
    await bare.stop()
  }
}

function report(levels: readonly number[], runs: readonly (Run & { connections: number })[]): void {
  const rows = levels.map((connections) => {
    const of = (door: string) => runs.filter((each) => each.connections === connections && each.door === door)
    const [fast, ours] = [of('bare fastify'), of('verdict')]
    return {
      connections,
      bare_rps: median(fast.map((each) => each.requests_per_second)),
      verdict_rps: median(ours.map((each) => each.requests_per_second)),
      ratio: round(
        median(ours.map((each) => each.requests_per_second)) / median(fast.map((each) => each.requests_per_second)),
      ),
      bare_p99_ms: median(fast.map((each) => each.p99_ms)),
      verdict_p99_ms: median(ours.map((each) => each.p99_ms)),
    }
  })
  console.log(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}; the load generator runs beside them`,
  )
  console.table(rows)
  console.log(JSON.stringify({ rows, runs }))
}

let asked = 0

function question(): string {
  asked++
  return JSON.stringify({
    subject: { type: 'user', id: `user-${asked % 1000}` },
    action: { name: 'document:read' },
    resource: { type: 'document', id: `fresh/${asked}`, properties: { owner: `user-${asked % 1000}` } },
  })
}

async function load(door: Door, connections: number, seconds: number): Promise<Run> {
  const result = await autocannon({
    url: `${door.url}/v1/authorize`,
    connections,
    duration: seconds,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${door.key}` },
    requests: [{ setupRequest: (request) => ({ ...request, body: question() }) }],
  })
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${door.name}: ${result.non2xx} refused, ${result.errors} failed`)
  return {
    door: door.name,
    requests_per_second: Math.round(result.requests.average),
    p50_ms: result.latency.p50,
    p99_ms: result.latency.p99,
  }
}

async function prepare({ url, key }: Door): Promise<void> {
  const response = await fetch(`${url}/v1/rules/owner-reads`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['document:read'],
      resources: [{ type: 'document', id: 'fresh/*' }],
      condition: 'resource.properties.owner == subject.id',
    }),
  })
  if (!response.ok) throw new Error(`could not write the rule: ${response.status} ${await response.text()}`)
}

/** An allow and a deny, before anything is timed. */
async function checkAnswers({ url, key }: Door): Promise<void> {
  for (const owner of ['alice', 'bob']) {
    const response = await fetch(`${url}/v1/authorize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({
        subject: { type: 'user', id: 'alice' },
        action: { name: 'document:read' },
        resource: { type: 'document', id: 'fresh/1', properties: { owner } },
      }),
    })
    const { decision } = (await response.json()) as { decision: unknown }
    if (decision !== (owner === 'alice')) throw new Error(`a wrong answer: ${decision} for the owner ${owner}`)
  }
}

async function startVerdict(): Promise<Door> {
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-bench-'))
  const port = await freePort()
  const env = {
    ...process.env,
    VERDICT_DATA_DIR: dataDir,
    VERDICT_PORT: String(port),
    VERDICT_PRESET: 'none',
    VERDICT_DRAIN_DELAY: '0',
    LOG_LEVEL: 'warn',
  }
  const child = spawn(process.execPath, [new URL('dist/main.js', ROOT).pathname, 'serve'], { env, stdio: 'inherit' })
  const url = `http://127.0.0.1:${port}`
  await answers(`${url}/livez`, child)
  const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
  const stop = async () => {
    await end(child)
    await rm(dataDir, { recursive: true, force: true })
  }
  return { name: 'verdict', url, key, stop }
}

async function startBare(): Promise<Door> {
  const script = new URL('bare-fastify.js', import.meta.url).pathname
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  return { name: 'bare fastify', url: String(line).trim(), key: 'none', stop: () => end(child) }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (child.exitCode !== null) throw new Error('the server ended')
    if (
      await fetch(url).then(
        (response) => response.ok,
        () => false,
      )
    )
      return
    await pause(100)
  }
  throw new Error(`${url} did not answer`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function numberOf(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name)
  return at === -1 ? otherwise : Number(args[at + 1])
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const round = (value: number) => Math.round(value * 1000) / 1000
