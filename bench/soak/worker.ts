import { parentPort, workerData } from 'node:worker_threads'
import { LAWS, type Law, Trial } from '../../test/policy/laws.ts'
import { caseOf, smaller } from '../../test/policy/random-case.ts'

/** Every `step`th seed from `first` on, as long as there are. */
export interface Share {
  readonly first: number
  readonly step: number
  readonly end: number
  readonly laws: readonly string[]
}

/** `broken`: the law, with the smallest case that breaks it. Else how many pairs are done since the last word. */
export type Word =
  | { readonly done: number; readonly decisions: Readonly<Record<string, number>> }
  | { readonly broken: string; readonly seed: number; readonly found: string }

const AT_ONCE = 500

function soak({ first, step, end, laws }: Share): void {
  const chosen: readonly Law[] = Object.entries(LAWS)
    .filter(([name]) => laws.includes(name))
    .map(([, law]) => law)
  let done = 0
  let decisions: Record<string, number> = {}
  const say = () => {
    tell({ done, decisions })
    done = 0
    decisions = {}
  }
  for (let seed = first; seed < end; seed += step) {
    const trial = new Trial(caseOf(seed))
    for (const law of chosen) if (law.broken(trial) !== undefined) tell(brokenAt(seed, law))
    const { reason } = trial.answer
    decisions[reason] = (decisions[reason] ?? 0) + 1
    if (++done === AT_ONCE) say()
  }
  say()
}

function brokenAt(seed: number, law: Law): Word {
  const made = smaller(caseOf(seed), (one) => law.broken(new Trial(one)) !== undefined)
  return { broken: law.name, seed, found: JSON.stringify({ ...made, found: law.broken(new Trial(made)) }, null, 1) }
}

function tell(word: Word): void {
  parentPort?.postMessage(word)
}

soak(workerData)
