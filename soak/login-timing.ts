/**
 * Does a login tell by its time whether there is such an account? Pairs of failing logins, one of an account that is
 * there and one of a name that is none, interleaved and in changing order, against a running service; then the same
 * with two accounts that are both there, twice: that is the noise.
 *
 *   npx tsc -p soak && node build/soak/login-timing.js [pairs]
 *
 * Loopback has 2^24 addresses: each pair comes from another one, so
 * that no lock of an address is measured; those of accounts are undone outside of what is timed.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { readConfig } from '../src/config.ts'
import { serve } from '../src/serve.ts'
import { startEmbedded } from '../src/store/embedded.ts'

const PAIRS = Number(process.argv[2] ?? 2_000)
const PASSWORD = 'a horse, a battery and a staple'

const dataDir = await mkdtemp(join(tmpdir(), 'verdict-timing-'))
const embedded = await startEmbedded(dataDir, { log: () => undefined })
const key = () => `vdt_k${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`
const adminKey = key()
const config = readConfig({
  DATABASE_URL: embedded.url,
  VERDICT_MIGRATE_DATABASE_URL: embedded.ownerUrl,
  VERDICT_DATA_DIR: dataDir,
  VERDICT_PORT: '0',
  VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
  VERDICT_ROOT_KEY: key(),
  VERDICT_ADMIN_KEY: adminKey,
  VERDICT_DRAIN_DELAY: '0',
  LOG_LEVEL: 'fatal',
})
const service = await serve(config, { stdout: { write: () => true } })
const database = new pg.Client({ connectionString: embedded.ownerUrl })
await database.connect()

let addresses = 0
const nextAddress = () => {
  addresses++
  return `127.${1 + (addresses >> 16)}.${(addresses >> 8) & 255}.${addresses & 255}`
}

function login(username: string, localAddress: string): Promise<number> {
  const body = JSON.stringify({ method: 'password', tenant: 'default', username, password: 'wrong, whatever it is' })
  const { hostname, port } = new URL(service.url)
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const asked = request(
      { hostname, port, localAddress, method: 'POST', path: '/v1/authenticate', headers },
      (reply) => {
        reply.resume().on('end', () => {
          const took = performance.now() - began
          if (reply.statusCode === 401) resolve(took)
          else reject(new Error(`a login that fails was answered with ${reply.statusCode}`))
        })
      },
    )
    asked.on('error', reject).end(body)
  })
}

async function compare(one: string, other: string): Promise<{ one: number; other: number }> {
  const took: [number[], number[]] = [[], []]
  for (let pair = 0; pair < PAIRS; pair++) {
    if (pair % 4 === 0) await database.query('delete from login_throttles')
    const address = nextAddress()
    for (const side of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      took[side].push(await login(side === 0 ? one : other, address))
    }
  }
  return { one: median(took[0]), other: median(took[1]) }
}

function median(of: readonly number[]): number {
  return [...of].sort((a, b) => a - b)[Math.floor(of.length / 2)] ?? Number.NaN
}

async function report(name: string, one: string, other: string): Promise<void> {
  const medians = await compare(one, other)
  const difference = (medians.other - medians.one) * 1000
  const told = `${medians.one.toFixed(3)} ms and ${medians.other.toFixed(3)} ms: ${difference.toFixed(0)} µs apart`
  process.stdout.write(`${name}: medians of ${PAIRS} pairs ${told}\n`)
}

try {
  for (const id of ['known-one', 'known-two']) {
    await fetch(`${service.url}/v1/credentials/user/${id}/password`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ password: PASSWORD }),
    })
  }
  await compare('known-one', 'known-two').then(() => undefined)
  await report('two accounts      ', 'known-one', 'known-two')
  await report('account and no one', 'known-one', 'nobody-at-all')
  await report('two accounts again', 'known-two', 'known-one')
} finally {
  await database.end()
  await service.close()
  await embedded.stop()
  await rm(dataDir, { recursive: true, force: true })
}
