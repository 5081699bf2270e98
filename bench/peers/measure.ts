import { createRequire } from 'node:module'
import type { Dice } from '../../test/policy/dice.ts'
import type { Asked, World } from '../decide/mix.ts'
import { ROOT } from '../results.ts'
import { blocks, type Call, quantile, rounded, singles } from '../timing.ts'
import { type Casbin, prepareCasbin } from './casbin.ts'
import { type Cedar, prepareCedar } from './cedar.ts'
import { NotExpressible, type Peer } from './peer.ts'

export type PeerName = 'casbin' | 'cedar'

/** `not`: why these rules cannot be told to it. */
export interface PeerMeasured {
  readonly p50_us?: number
  readonly p99_us?: number
  readonly questions?: number
  readonly load_s?: number
  readonly not?: string
}

// They are no dependencies of Verdict's: bench/package.json names them.
const load = createRequire(new URL('bench/package.json', ROOT))
const PACKAGES = { casbin: 'casbin', cedar: '@cedar-policy/cedar-wasm/nodejs' } satisfies Record<PeerName, string>
const PEERS: readonly PeerName[] = ['casbin', 'cedar']

export function installedPeers(): readonly PeerName[] {
  try {
    for (const name of PEERS) load.resolve(PACKAGES[name])
    return PEERS
  } catch {
    console.error('peers not installed: npm ci --prefix bench --ignore-scripts')
    return []
  }
}

export async function measurePeer(name: PeerName, mix: string, world: World, dice: Dice): Promise<PeerMeasured> {
  try {
    if (name === 'casbin') {
      const casbin: Casbin = load(PACKAGES.casbin)
      return await measured(() => prepareCasbin(casbin, mix, world), world, dice)
    }
    const cedar: Cedar = load(PACKAGES.cedar)
    return await measured(async () => prepareCedar(cedar, world), world, dice)
  } catch (error) {
    if (error instanceof NotExpressible) return { not: `cannot say: ${error.message}` }
    throw error
  }
}

interface Readied<T> {
  readonly asked: Asked
  readonly question: T
}

async function measured<T>(prepare: () => Promise<Peer<T>>, world: World, dice: Dice): Promise<PeerMeasured> {
  const began = performance.now()
  const peer = await prepare()
  const seconds = (performance.now() - began) / 1000
  const call: Call<Readied<T>> = {
    draw: () => {
      const asked = world.question(dice)
      return { asked, question: peer.ready(asked) }
    },
    ask: ({ question }) => peer.ask(question),
    check({ asked }, answer) {
      if (answer !== (asked.reason === 'allowed_by_rule'))
        throw new Error(`${answer}, not ${asked.reason}, to ${JSON.stringify(asked.request)}`)
    },
  }
  const warm = blocks(call, { block: 1, most: 20_000, seconds: 1 })
  const isQuick = quantile(warm, 0.5) < 0.02
  const alone = singles(call, { block: 1, most: 20_000, seconds: 2 })
  const times = isQuick ? blocks(call, { block: 32, most: 1000, seconds: 2 }) : alone
  return {
    p50_us: rounded(quantile(times, 0.5) * 1000),
    p99_us: rounded(quantile(alone, 0.99) * 1000),
    questions: times.length * (isQuick ? 32 : 1),
    load_s: rounded(seconds),
  }
}
