/**
 * Does a login tell by its time whether there is such an account? Pairs of failing logins, one of an account that is
 * there and one of a name that is none, interleaved and in changing order, against a service of its own; before and
 * after that the same with two accounts that are both there, which is the noise.
 *
 *   npm run build && npm run soak -- login-timing [pairs]
 *
 * No lock is in it: loopback has 2^24 addresses, of which each is used for two pairs, and a name for four.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PROJECT, startProgram, stopProgram } from './program.ts'

const PAIRS_PER_NAME = 4
const PAIRS_PER_ADDRESS = 2

const ADMIN_KEY = `vdt_timing_${randomBytes(32).toString('base64url')}`

export async function run([pairs = '2000']: readonly string[]): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-timing-'))
  const program = await startProgram(PROJECT, { VERDICT_DATA_DIR: dataDir, VERDICT_ADMIN_KEY: ADMIN_KEY })
  try {
    await measure(program.url, Number(pairs))
  } finally {
    await stopProgram(program)
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function measure(url: string, pairs: number): Promise<void> {
  for (const set of ['one', 'two', 'three', 'four', 'five']) await makeAccounts(url, set, pairs)
  await report('two accounts      ', url, pairs, ['one', 'two'])
  await report('account and no one', url, pairs, ['three', 'nobody'])
  await report('two accounts again', url, pairs, ['four', 'five'])
}

async function makeAccounts(url: string, set: string, pairs: number): Promise<void> {
  for (let n = 0; n < pairs / PAIRS_PER_NAME; n++) {
    const body = JSON.stringify({ password: 'a horse, a battery and a staple' })
    const path = `/v1/credentials/user/${nameOf(set, n * PAIRS_PER_NAME)}/password`
    const { status } = await ask(url, 'PUT', path, body)
    if (status !== 201) throw new Error(`an account could not be made: ${status}`)
  }
}

function nameOf(set: string, pair: number): string {
  return `${set}-${Math.floor(pair / PAIRS_PER_NAME)}`
}

/** Addresses that came. */
let used = 0

async function report(name: string, url: string, pairs: number, sets: readonly [string, string]): Promise<void> {
  const took: [number[], number[]] = [[], []]
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % PAIRS_PER_ADDRESS === 0) used++
    const address = `127.${1 + (used >> 16)}.${(used >> 8) & 255}.${used & 255}`
    for (const side of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      took[side].push(await failedLogin(url, nameOf(sets[side], pair), address))
    }
  }
  const [first, second] = [median(took[0]), median(took[1])]
  const apart = ((second - first) * 1000).toFixed(0)
  console.log(
    `${name}: medians of ${pairs} pairs ${first.toFixed(3)} ms and ${second.toFixed(3)} ms, ${apart} µs apart`,
  )
}

async function failedLogin(url: string, username: string, address: string): Promise<number> {
  const body = JSON.stringify({ method: 'password', tenant: 'default', username, password: 'wrong, whatever it is' })
  const { status, took } = await ask(url, 'POST', '/v1/authenticate', body, address)
  if (status !== 401) throw new Error(`a login that fails was answered with ${status}`)
  return took
}

function median(of: readonly number[]): number {
  return [...of].sort((one, other) => one - other)[Math.floor(of.length / 2)] ?? Number.NaN
}

/** One request on a connection of its own. @returns its status, and the ms that it took. */
function ask(url: string, method: string, path: string, body: string, localAddress = '127.0.0.1') {
  const headers = {
    authorization: `Bearer ${ADMIN_KEY}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  }
  return new Promise<{ status: number; took: number }>((resolve, reject) => {
    const began = performance.now()
    const asked = request(`${url}${path}`, { method, localAddress, headers, agent: false }, (reply) => {
      reply.resume().on('end', () => resolve({ status: reply.statusCode ?? 0, took: performance.now() - began }))
    })
    asked.on('error', reject).end(body)
  })
}
