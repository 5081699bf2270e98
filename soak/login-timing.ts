/**
 * Does a login tell by its time whether there is such an account? Pairs of failing logins, one of an account that is
 * there and one of a name that is none, interleaved and in changing order, against a service of its own; before and
 * after that the same with two accounts that are both there, which is the noise.
 *
 *   npm run build && npx tsc -p soak && node build/soak/login-timing.js [pairs]
 *
 * No lock is in it: loopback has 2^24 addresses, of which each is used for two pairs, and a name for four.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const PAIRS = Number(process.argv[2] ?? 2_000)
const PAIRS_PER_NAME = 4
const PAIRS_PER_ADDRESS = 2

const ADMIN_KEY = `vdt_timing_${randomBytes(32).toString('base64url')}`
const MAIN = new URL('../../dist/main.js', import.meta.url).pathname

/** Addresses that came. */
let used = 0

const dataDir = await mkdtemp(join(tmpdir(), 'verdict-timing-'))
const port = await freePort()
const child = start()
try {
  await answering()
  for (const set of ['one', 'two', 'three', 'four', 'five']) await makeAccounts(set)
  await report('two accounts      ', 'one', 'two')
  await report('account and no one', 'three', 'nobody')
  await report('two accounts again', 'four', 'five')
} finally {
  child.kill('SIGTERM')
  await once(child, 'exit')
  await rm(dataDir, { recursive: true, force: true })
}

function start(): ChildProcess {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    VERDICT_DATA_DIR: dataDir,
    VERDICT_PORT: String(port),
    VERDICT_ADMIN_KEY: ADMIN_KEY,
    VERDICT_DRAIN_DELAY: '0',
    LOG_LEVEL: 'fatal',
  }
  return spawn(process.execPath, [MAIN, 'serve'], { env, stdio: 'inherit' })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answering(): Promise<void> {
  const answers = () =>
    ask('GET', '/livez').then(
      ({ status }) => status === 200,
      () => false,
    )
  while (!(await answers())) await pause(100)
}

async function makeAccounts(set: string): Promise<void> {
  for (let n = 0; n < PAIRS / PAIRS_PER_NAME; n++) {
    const body = JSON.stringify({ password: 'a horse, a battery and a staple' })
    const { status } = await ask('PUT', `/v1/credentials/user/${nameOf(set, n * PAIRS_PER_NAME)}/password`, body)
    if (status !== 201) throw new Error(`an account could not be made: ${status}`)
  }
}

function nameOf(set: string, pair: number): string {
  return `${set}-${Math.floor(pair / PAIRS_PER_NAME)}`
}

async function report(name: string, one: string, other: string): Promise<void> {
  const took: [number[], number[]] = [[], []]
  for (let pair = 0; pair < PAIRS; pair++) {
    if (pair % PAIRS_PER_ADDRESS === 0) used++
    const address = `127.${1 + (used >> 16)}.${(used >> 8) & 255}.${used & 255}`
    for (const side of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      took[side].push(await failedLogin(nameOf(side === 0 ? one : other, pair), address))
    }
  }
  const [first, second] = [median(took[0]), median(took[1])]
  const apart = ((second - first) * 1000).toFixed(0)
  console.log(
    `${name}: medians of ${PAIRS} pairs ${first.toFixed(3)} ms and ${second.toFixed(3)} ms, ${apart} µs apart`,
  )
}

async function failedLogin(username: string, address: string): Promise<number> {
  const body = JSON.stringify({ method: 'password', tenant: 'default', username, password: 'wrong, whatever it is' })
  const { status, took } = await ask('POST', '/v1/authenticate', body, address)
  if (status !== 401) throw new Error(`a login that fails was answered with ${status}`)
  return took
}

function median(of: readonly number[]): number {
  return [...of].sort((one, other) => one - other)[Math.floor(of.length / 2)] ?? Number.NaN
}

/** One request on a connection of its own. @returns its status, and the ms that it took. */
function ask(method: string, path: string, body = '', localAddress = '127.0.0.1') {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const length = body === '' ? {} : { 'content-length': Buffer.byteLength(body) }
  return new Promise<{ status: number; took: number }>((resolve, reject) => {
    const began = performance.now()
    const options = { host: '127.0.0.1', port, localAddress, method, path, headers: { ...headers, ...length } }
    const asked = request({ ...options, agent: false }, (reply) => {
      reply.resume().on('end', () => resolve({ status: reply.statusCode ?? 0, took: performance.now() - began }))
    })
    asked.on('error', reject).end(body)
  })
}
