import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { LAWS } from '../../test/policy/laws.ts'
import { keep, observed } from '../results.ts'
import type { Section } from '../section.ts'
import type { Share, Word } from './worker.ts'

/** `npm run soak -- decide [--pairs 1000000] [--first seed] [--law name]… [--workers n]`: what `npm test` does, for long. */

interface Options {
  readonly pairs: number
  readonly first: number
  readonly laws: readonly string[]
  readonly workers: number
}

const USAGE = `npm run soak -- decide [--pairs 1000000] [--first 1] [--workers 2] [--law ${Object.keys(LAWS).join(' | ')}]`

function optionsOf(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '1000000' },
      first: { type: 'string', default: '1' },
      workers: { type: 'string', default: String(availableParallelism()) },
      law: { type: 'string', multiple: true, default: Object.keys(LAWS) },
    },
  })
  const [pairs = 0, first = 0, workers = 0] = [values.pairs, values.first, values.workers].map(Number)
  const isKnown = values.law.every((name) => Object.hasOwn(LAWS, name))
  const areCounts = [pairs, first, workers].every((count) => Number.isInteger(count) && count > 0)
  if (!isKnown || !areCounts) return undefined
  return { pairs, first, laws: values.law, workers: Math.min(workers, pairs) }
}

class Progress {
  readonly decisions: Record<string, number> = {}
  readonly #pairs: number
  readonly #began = performance.now()
  #done = 0
  #toldAt = performance.now()

  constructor(pairs: number) {
    this.#pairs = pairs
  }

  get perSecond(): number {
    return Math.round(this.#done / ((performance.now() - this.#began) / 1000))
  }

  add(done: number, decisions: Readonly<Record<string, number>>): void {
    this.#done += done
    for (const [reason, count] of Object.entries(decisions))
      this.decisions[reason] = (this.decisions[reason] ?? 0) + count
    if (performance.now() - this.#toldAt < 5000) return
    this.#toldAt = performance.now()
    const left = Math.round((this.#pairs - this.#done) / this.perSecond)
    console.error(`${this.#done.toLocaleString('en')} pairs, ${this.perSecond} a second, ${left} s to go`)
  }
}

/** Ends with the first word of a law that is broken. */
function worked(share: Share, progress: Progress): Promise<void> {
  const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: share })
  return new Promise((resolve, reject) => {
    worker.on('message', (word: Word) => {
      if ('done' in word) progress.add(word.done, word.decisions)
      else reject(new Error(`seed ${word.seed} breaks the law: ${word.broken}\n${word.found}`))
    })
    worker.on('error', reject)
    worker.on('exit', () => resolve())
  })
}

async function soak({ pairs, first, laws, workers }: Options): Promise<Section[]> {
  const progress = new Progress(pairs)
  const shares = Array.from({ length: workers }, (_, at) => ({
    first: first + at,
    step: workers,
    end: first + pairs,
    laws,
  }))
  await Promise.all(shares.map((share) => worked(share, progress)))
  const method = `Random policies with random questions, seeds ${first.toLocaleString('en')} to ${(first + pairs - 1).toLocaleString('en')}, by ${workers} threads,
${progress.perSecond.toLocaleString('en')} pairs a second: each policy with everything that policies have (combining, priorities,
required ones, targets; inherited and derived roles, in error too; assignments with scopes and validity; patterns of all
sorts, \`within\`; obligations; types with schemas and protected properties; conditions with addresses, sets, levels, zones;
what does not compile), on an index with random limits, for every second one after edits in place.`
  const rows = Object.entries(LAWS)
    .filter(([name]) => laws.includes(name))
    .map(([, { name }]) => ({ law: name, pairs, broken: 0 }))
  const total = Object.values(progress.decisions).reduce((sum, count) => sum + count, 0)
  const told = Object.entries(progress.decisions)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `\`${reason}\` ${((100 * count) / total).toFixed(1)} %`)
  return [{ title: 'Laws that hold of every decision', method, rows, notes: [`Decided: ${told.join(', ')}.`] }]
}

export async function run(args: readonly string[]): Promise<void> {
  const options = optionsOf(args)
  if (options === undefined) {
    console.error(USAGE)
    process.exitCode = 1
    return
  }
  try {
    const result = await observed('soak', ['npm run soak -- decide', ...args].join(' '), () => soak(options))
    if (result !== undefined) keep(result)
    console.log(JSON.stringify(result?.sections, null, 1))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    console.error('To repeat it: npm run soak -- decide --pairs 1 --first <seed>')
    process.exit(1)
  }
}
