import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { call, withReplicas } from './replicas.ts'

/**
 * `quota [--limit 10000] [--connections 64] [--seconds 10]`: a counter used up through two replicas, one of which is
 * killed in between: how many were allowed, and how many units were lost with the replica. Then what a quota adds to a
 * decision, plain and counted ones in turn over one connection. Status 1 if one too many was allowed.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = {
    limit: { type: 'string', default: '10000' },
    connections: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
  } as const
  const { values } = parseArgs({ args: [...args], options })
  const limit = Number(values.limit)
  await withReplicas(async ({ one, other, adminKey, killOther }) => {
    const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
    await call(one, 'PUT', '/v1/rules/everything', adminKey, rule)
    const cost = { before: await compare(one, adminKey, Number(values.seconds) / 2, ['plain']) }
    const put = (name: string, members: object) =>
      call(one, 'PUT', `/v1/quotas/${name}`, adminKey, {
        subjects: [{ any: true }],
        actions: ['*'],
        resources: [{ type: name }],
        window_seconds: 86_400,
        per: 'tenant',
        ...members,
      })
    await put('soaked', { limit })
    const used = await useUp([one, other], adminKey, Number(values.connections), limit, killOther)
    console.log(JSON.stringify({ limit, connections: Number(values.connections), ...used }))
    await put('counted', { limit: Number.MAX_SAFE_INTEGER })
    await put('compared', { limit: 100, window_seconds: undefined, requested: 'memory' })
    const types = ['plain', 'compared', 'counted']
    console.log(JSON.stringify({ ...cost, ...(await compare(one, adminKey, Number(values.seconds), types)) }))
    if (used.allowed > limit) process.exitCode = 1
  })
}

interface Decided {
  readonly decision: boolean
  readonly ms: number
}

async function useUp(
  urls: readonly [string, string],
  key: string,
  connections: number,
  limit: number,
  kill: () => Promise<unknown>,
) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const seen = { allowed: 0, refused: 0, cut: 0 }
  let killing: Promise<unknown> | undefined
  let lastAllowed = performance.now()
  const worker = async (name: number) => {
    let url: string = urls[name % 2] ?? urls[0]
    // What the killed one had reserved is gone; what was given back is there within the second.
    while (performance.now() - lastAllowed < 3_000) {
      const answer = await ask(agent, url, key, 'soaked')
      if (answer === undefined) {
        seen.cut++
        url = urls[0]
      } else if (answer.decision) {
        seen.allowed++
        lastAllowed = performance.now()
      } else {
        seen.refused++
        await pause(20)
      }
      if (seen.allowed > limit / 3) killing ??= kill()
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: connections }, (_, name) => worker(name)))
  await killing
  agent.destroy()
  return { ...seen, lost: limit - seen.allowed, seconds: Math.round(lastAllowed - began) / 1000 }
}

/** Medians in ms, by the type that was asked about: one after the other, in turn. */
async function compare(url: string, key: string, seconds: number, types: readonly string[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const times = new Map(types.map((type) => [type, [] as number[]]))
  const until = performance.now() + seconds * 1000
  while (performance.now() < until) {
    for (const [type, ms] of times) ms.push((await ask(agent, url, key, type))?.ms ?? 0)
  }
  agent.destroy()
  return Object.fromEntries(
    [...times].map(([type, ms]) => [type, { decisions: ms.length, p50: at(ms, 0.5), p99: at(ms, 0.99) }]),
  )
}

function at(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round((sorted[Math.floor(sorted.length * part)] ?? 0) * 1000) / 1000
}

/** Undefined: the connection broke. */
function ask(agent: Agent, url: string, key: string, type: string): Promise<Decided | undefined> {
  const question = {
    subject: { type: 'user', id: 'ann' },
    action: { name: 'use' },
    resource: { type, id: '1' },
    context: { requested: { memory: 1 } },
  }
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const sent = request(`${url}/v1/authorize`, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('error', () => resolve(undefined))
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`${response.statusCode}: ${text}`))
        resolve({ decision: JSON.parse(text).decision === true, ms: performance.now() - began })
      })
    })
    sent.on('error', () => resolve(undefined))
    sent.end(JSON.stringify(question))
  })
}
