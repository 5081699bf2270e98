import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { call, type Replicas, withReplicas } from './replicas.ts'

/** What is revoked: `make` says how its holder asks, and how it is taken away. */
interface Kind {
  readonly name: string
  make(replicas: Replicas, round: number): Promise<Revocable>
}

interface Revocable {
  /** Asks the other process, by what will be revoked. @returns whether it is still good. */
  isGood(): Promise<boolean>
  /** At the one process. Comes back with its answer. */
  revoke(): Promise<unknown>
}

const PASSWORD = 'a horse, a battery and a staple'

const KINDS: readonly Kind[] = [
  {
    name: 'API key',
    async make({ one, other, adminKey }, round) {
      const subject = { type: 'service', id: `key-${round}` }
      const body = { name: 'soak', subject, roles: ['pdp:decider'] }
      const made = await call(one, 'POST', '/v1/api-keys', adminKey, body)
      const [key, path] = [made.text('key'), `/v1/api-keys/${made.text('id')}`]
      return {
        isGood: async () => (await call(other, 'GET', '/v1/authenticate/me', key)).status === 200,
        revoke: () => call(one, 'DELETE', path, adminKey),
      }
    },
  },
  {
    name: 'session',
    async make({ one, other }) {
      const body = { method: 'password', tenant: 'default', username: 'ada', password: PASSWORD }
      const token = (await call(one, 'POST', '/v1/authenticate', '', body)).text('access_token')
      return {
        isGood: async () => (await call(other, 'GET', '/v1/authenticate/me', token)).status === 200,
        revoke: () => call(one, 'POST', '/v1/authenticate/revoke', token, {}),
      }
    },
  },
  {
    name: 'role assignment',
    async make({ one, other, adminKey }, round) {
      const subject = { type: 'user', id: `ann-${round}` }
      const id = (await call(one, 'POST', '/v1/assignments', adminKey, { subject, role: 'reader' })).text('id')
      const question = { subject, action: { name: 'read' }, resource: { type: 'doc', id: '1' } }
      const ask = () => call(other, 'POST', '/v1/authorize', adminKey, question)
      return {
        isGood: async () => (await ask()).is('decision', true),
        revoke: () => call(one, 'DELETE', `/v1/assignments/${id}`, adminKey),
      }
    },
  },
]

/**
 * `revocation [--rounds 200]`: how long after one process has answered a revocation another one still takes what was
 * revoked, for each kind. Status 1 if anything was taken for longer than 2 s.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '200' } } })
  await withReplicas(async (replicas) => {
    const { one, adminKey } = replicas
    await call(one, 'PUT', '/v1/credentials/user/ada/password', adminKey, { password: PASSWORD })
    const permissions = [{ actions: ['read'], resources: [{ type: 'doc' }] }]
    await call(one, 'PUT', '/v1/roles/reader', adminKey, { permissions })
    for (const kind of KINDS) {
      const took: number[] = []
      for (let round = 0; round < Number(values.rounds); round++)
        took.push(await timed(await kind.make(replicas, round)))
      took.sort((a, b) => a - b)
      const at = (share: number) => Math.round(took[Math.ceil(share * took.length) - 1] ?? Number.NaN)
      console.log(
        JSON.stringify({ kind: kind.name, rounds: took.length, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }),
      )
      if (at(1) > 2000) process.exitCode = 1
    }
  })
}

/** ms from the answer to the revocation until the last time that the other process took it, asked again and again. */
async function timed({ isGood, revoke }: Revocable): Promise<number> {
  for (let tries = 0; !(await isGood()); tries++) if (tries > 1000) throw new Error('it never was good')
  // At any moment between two polls of the other, not always right after one.
  await pause(Math.random() * 1000)
  await revoke()
  const began = performance.now()
  while (await isGood()) if (performance.now() - began > 20_000) return Number.POSITIVE_INFINITY
  return performance.now() - began
}
