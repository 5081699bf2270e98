import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { newKey, PROJECT, type Program, startProgram, stopProgram } from './soak/program.ts'

const QUESTION = JSON.stringify({
  subject: { type: 'user', id: 'ann' },
  action: { name: 'document:read' },
  resource: { type: 'document', id: '1' },
})

/**
 * `fairness [--tenants 5] [--share 150] [--seconds 6] [--connections 64]`: what one tenant at 10 times its share does to
 * the others. Each asks its share of decisions a second, at a steady pace; then one of them asks 10 times as much, and
 * then the same with a limit in its settings. In ms, of the others; latency counts from when a question was due.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tenants: { type: 'string', default: '5' },
      share: { type: 'string', default: '150' },
      seconds: { type: 'string', default: '6' },
      connections: { type: 'string', default: '64' },
    },
  })
  const [tenants, share, seconds, connections] = [values.tenants, values.share, values.seconds, values.connections].map(
    Number,
  )
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-fairness-'))
  const rootKey = newKey('root')
  const program = await startProgram(PROJECT, {
    VERDICT_DATA_DIR: dataDir,
    VERDICT_ROOT_KEY: rootKey,
    VERDICT_PRESET: 'none',
  })
  try {
    const keys = await Promise.all(
      Array.from({ length: tenants ?? 5 }, (_, n) => tenantWith(program, rootKey, `t${n}`)),
    )
    const [first = '', ...others] = keys
    const round = async (what: string, greedy: number) => {
      const load = { url: program.url, seconds: seconds ?? 6, connections: connections ?? 64 }
      const [flood, ...calm] = await Promise.all([
        pace({ ...load, key: first, rate: (share ?? 150) * greedy }),
        ...others.map((key) => pace({ ...load, key, rate: share ?? 150 })),
      ])
      const ms = calm.flatMap(({ took }) => took).sort((one, other) => one - other)
      const at = (part: number) => (ms[Math.floor(ms.length * part)] ?? Number.NaN).toFixed(1)
      console.log(
        `${what.padEnd(44)} p50 ${at(0.5)}  p99 ${at(0.99)}  answered ${ms.length}; the one: 200 ${flood?.answered}, else ${flood?.refused}`,
      )
    }
    await round('(warming up)', 1)
    await round('each at its share', 1)
    await round('one at 10 times its share', 10)
    await call(program, first, 'PUT', '/v1/settings', { decisions_per_second: share })
    await round('the same, with decisions_per_second = share', 10)
  } finally {
    await stopProgram(program)
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function tenantWith(program: Program, rootKey: string, id: string): Promise<string> {
  await call(program, rootKey, 'POST', '/v1/tenants', { id, name: id })
  const subject = { type: 'service', id: 'pep' }
  const headers = { 'verdict-tenant': id }
  const made = await call(
    program,
    rootKey,
    'POST',
    '/v1/api-keys',
    { name: 'k', subject, roles: ['pdp:admin'] },
    headers,
  )
  const key = typeof made === 'object' && made !== null && 'key' in made ? String(made.key) : ''
  const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: 'document' }] }
  await call(program, key, 'PUT', '/v1/rules/all', rule)
  return key
}

async function call(
  { url }: Program,
  key: string,
  method: string,
  path: string,
  body: unknown,
  headers = {},
): Promise<unknown> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  if (response.status >= 300) throw new Error(`${method} ${path}: ${await response.text()}`)
  return response.json()
}

interface Load {
  readonly url: string
  readonly key: string
  readonly rate: number
  readonly seconds: number
  readonly connections: number
}

interface Paced {
  /** ms of each that was answered 200. */
  readonly took: number[]
  answered: number
  refused: number
}

/** Asks when a question is due, whether or not those before are answered. */
function pace({ url, key, rate, seconds, connections }: Load): Promise<Paced> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const paced: Paced = { took: [], answered: 0, refused: 0 }
  const headers = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    'content-length': QUESTION.length,
  }
  const began = performance.now()
  let sent = 0
  let open = 0
  return new Promise((resolve) => {
    const end = () => {
      if (open > 0) return
      agent.destroy()
      resolve(paced)
    }
    const ask = (due: number) => {
      open++
      const done = (status: number | undefined) => {
        open--
        if (status === 200) {
          paced.answered++
          paced.took.push(performance.now() - due)
        } else paced.refused++
        if (isOver()) end()
      }
      const question = request(`${url}/v1/authorize`, { method: 'POST', agent, headers }, (response) => {
        response.resume().on('end', () => done(response.statusCode))
      })
      question.on('error', () => done(undefined)).end(QUESTION)
    }
    const isOver = () => performance.now() - began > seconds * 1000
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1000) * rate)
      for (; sent < due && !isOver(); sent++) ask(began + (sent / rate) * 1000)
      if (!isOver()) return
      clearInterval(timer)
      end()
    }, 1)
  })
}
