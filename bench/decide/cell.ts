import { Dice } from '../../test/policy/dice.ts'
import { measurePeer, type PeerMeasured, type PeerName } from '../peers/measure.ts'
import { MIXES } from './mixes.ts'
import { type Measured, measureVerdict } from './verdict.ts'

/** One measurement, in a process of its own: nothing that another left in the heap or in the compiler counts. */
export interface Job {
  readonly who: 'verdict' | PeerName
  readonly mix: string
  readonly size: number
}

export type Answer = { readonly measured: Measured | PeerMeasured } | { readonly failed: string }

const SEED = 20_300_101

async function answer({ who, mix, size }: Job): Promise<Answer> {
  const world = MIXES.find(({ name }) => name === mix)?.world(size)
  if (world === undefined) return { failed: `no mix ${mix}` }
  const dice = new Dice(SEED)
  return { measured: await (who === 'verdict' ? measureVerdict(world, dice) : measurePeer(who, mix, world, dice)) }
}

const send = (message: Answer) => process.send?.(message)
answer(JSON.parse(process.argv[2] ?? '')).then(send, (error) => send({ failed: String(error?.stack ?? error) }))
