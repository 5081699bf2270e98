import { parseArgs } from 'node:util'
import { call, withReplicas } from './replicas.ts'

const PASSWORD = 'a horse, a battery and a staple'

/**
 * `refresh [--rounds 200] [--at-once 20]`: one refresh token shown many times at once, to two processes in turn. It is
 * good for once, and its session has ended: neither its successor nor its access token is worth anything any more.
 * Status 1 if it was otherwise in any round.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = { rounds: { type: 'string', default: '200' }, 'at-once': { type: 'string', default: '20' } } as const
  const { values } = parseArgs({ args: [...args], options })
  const [rounds, atOnce] = [Number(values.rounds), Number(values['at-once'])]
  const outcome = await withReplicas(async ({ one, other, adminKey }) => {
    await call(one, 'PUT', '/v1/credentials/user/ada/password', adminKey, { password: PASSWORD })
    const urls = [one, other]
    const exchange = (at: number, body: object) => call(urls[at % 2] ?? one, 'POST', '/v1/authenticate', '', body)
    const successes: Record<number, number> = {}
    let survivors = 0
    for (let round = 0; round < rounds; round++) {
      const login = { method: 'password', tenant: 'default', username: 'ada', password: PASSWORD }
      const refresh_token = (await exchange(round, login)).text('refresh_token')
      const body = { method: 'refresh_token', refresh_token }
      const answers = await Promise.all(Array.from({ length: atOnce }, (_, at) => exchange(at, body)))
      const good = answers.filter(({ status }) => status === 200)
      successes[good.length] = (successes[good.length] ?? 0) + 1
      for (const answer of good) {
        const next = { method: 'refresh_token', refresh_token: answer.text('refresh_token') }
        if ((await exchange(round + 1, next)).status !== 401) survivors++
      }
    }
    return { rounds, at_once: atOnce, rounds_by_successes: successes, successors_that_work: survivors }
  })
  console.log(JSON.stringify(outcome))
  const { rounds_by_successes: found, successors_that_work: survivors } = outcome
  if (found[1] !== rounds || survivors > 0) process.exitCode = 1
}
