import { fork } from 'node:child_process'
import { once } from 'node:events'
import { totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { installedPeers, type PeerMeasured, type PeerName } from '../peers/measure.ts'
import type { Row, Section } from '../section.ts'
import { rounded } from '../timing.ts'
import type { Answer, Job } from './cell.ts'
import type { Mix } from './mix.ts'
import { MIXES } from './mixes.ts'
import type { Measured } from './verdict.ts'

const SIZES = '1000,10000,100000,1000000'
// Beyond, a decision of theirs takes so long that it is not worth waiting for.
const LARGEST_FOR_PEERS = 110_000

interface Options {
  readonly sizes: readonly number[]
  readonly mixes: readonly Mix[]
  readonly peers: readonly PeerName[]
}

/** `decide` over rules of many mixes and sizes: `[--sizes 1000,…] [--mix name]… [--no-peers]`. */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const options = optionsOf(args)
  const own: Row[] = []
  const beside: Row[] = []
  for (const mix of options.mixes) {
    for (const size of mix.sizes?.filter((one) => one <= Math.max(...options.sizes) * 1.1) ?? options.sizes) {
      const verdict = await measured<Measured>({ who: 'verdict', mix: mix.name, size })
      own.push({ mix: mix.name, ...verdict, rules: size, times_the_smallest: ratioToFirst(own, mix, verdict) })
      for (const peer of size <= LARGEST_FOR_PEERS ? options.peers : [])
        beside.push(
          besideRow(mix, size, peer, verdict, await measured<PeerMeasured>({ who: peer, mix: mix.name, size })),
        )
    }
  }
  return [ownSection(own, options.mixes), ...(options.peers.length > 0 ? [peerSection(beside)] : [])]
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: 'string', default: SIZES },
      mix: { type: 'string', multiple: true },
      'no-peers': { type: 'boolean', default: false },
    },
  })
  const sizes = values.sizes.split(',').map(Number)
  if (!sizes.every((size) => Number.isInteger(size) && size >= 1000))
    throw new Error('--sizes are whole numbers of 1000 and more')
  for (const name of values.mix ?? [])
    if (!MIXES.some((mix) => mix.name === name))
      throw new Error(`--mix is one of ${MIXES.map((mix) => mix.name).join(', ')}`)
  const mixes = MIXES.filter(({ name }) => values.mix?.includes(name) ?? true)
  return { sizes, mixes, peers: values['no-peers'] ? [] : installedPeers() }
}

async function measured<T extends Measured | PeerMeasured>(job: Job): Promise<T> {
  const what = `${job.mix}, ${job.size.toLocaleString('en')} rules: ${job.who}`
  const heap = Math.floor((totalmem() / 2 ** 20) * 0.7)
  const child = fork(new URL('cell.js', import.meta.url), [JSON.stringify(job)], {
    execArgv: ['--expose-gc', `--max-old-space-size=${heap}`],
  })
  const [message]: readonly Answer[] = await Promise.race([once(child, 'message'), ended(child)])
  if (message === undefined || 'failed' in message) throw new Error(`${what}: ${message?.failed}`)
  console.error(`${what}: ${summary(message.measured)}`)
  return message.measured as T
}

function summary(measured: Measured | PeerMeasured): string {
  if ('not' in measured) return measured.not ?? ''
  return `p50 ${measured.p50_us} µs, p99 ${measured.p99_us} µs`
}

async function ended(child: ReturnType<typeof fork>): Promise<readonly Answer[]> {
  const [code, signal] = await once(child, 'exit')
  return [{ failed: `ended with ${code ?? signal}` }]
}

/** How much dearer than with the fewest rules. */
function ratioToFirst(rows: readonly Row[], { name }: Mix, { p50_us }: Measured): number {
  const first = rows.find((row) => row['mix'] === name)?.['p50_us']
  return typeof first === 'number' ? rounded(p50_us / first) : 1
}

function besideRow(mix: Mix, size: number, peer: PeerName, verdict: Measured, theirs: PeerMeasured): Row {
  const { p50_us, p99_us, questions, load_s, not } = theirs
  const times = p50_us === undefined ? '' : `${rounded(p50_us / verdict.with_facts_p50_us)} ×`
  return {
    mix: mix.name,
    rules: size,
    peer,
    verdict_with_facts_p50_us: verdict.with_facts_p50_us,
    peer_p50_us: p50_us ?? '—',
    peer_to_verdict: not ?? times,
    peer_p99_us: p99_us ?? '—',
    questions: questions ?? 0,
    peer_load_s: load_s ?? '—',
  }
}

function ownSection(rows: readonly Row[], mixes: readonly Mix[]): Section {
  return {
    title: 'A decision, by the number of rules and what they are',
    method: `Each mix at each size in a process of its own. Questions are drawn uniformly at random, by a seeded generator, over
all subjects and resources; each is asked once, as it would come from JSON, so that no cache has seen it. The answers of
2,000 others are checked first (decision, reason, rules), and then every answer that is timed, outside its time.
\`p50\` is the median of blocks of 32 questions; \`p99\` is of 20,000 single calls, with the time of reading the clock taken
off, collections of garbage included. Both are \`decide\` with its facts at hand, of entities that have been asked about
before; \`first\` is of those that have not, \`after write\` of those that have, each asked right after some rule was changed,
and \`with facts\` gathers the facts of subject and resource from memory too. A change is one rule, drawn at random, written
with another priority, in place: 20,000 of them by the clock; \`own\` is the processor's time (or the clock's, where that is
less) without the pauses of collecting garbage, as \`PerformanceObserver\` tells of them. \`bytes per rule\` is the heap that the index takes, with roles, without entities and assignments; \`load\` is
building it from documents in memory.`,
    rows,
    notes: mixes.map(({ name, about }) => `**${name}**: ${about}.`),
  }
}

function peerSection(rows: readonly Row[]): Section {
  return {
    title: 'Beside others: the same rules, the same questions, the same run',
    method: `Each in a process of its own as well, with the same drawing, checking and timing of questions (\`p50\` of single calls
where one takes long). The ratio is to Verdict with the gathering of facts, since a peer is given names too.`,
    rows,
    notes: [
      '**casbin** (enforceSync) goes over its policies for each question. It says yes or no: no reason, no obligations, and of what a condition sees it knows what the matcher was told. Its matcher compares the cheap parts first (action, resource, then role), except in its own benchmark, where it is as documented. It holds users, groups and roles by itself.',
      '**@cedar-policy/cedar-wasm** (statefulIsAuthorized on a policy set parsed beforehand) is given the entities with each call, as its interface asks: here no more than the subject with its ancestors and roles, and the resource. What they take on the way into WebAssembly is in its time; writing them down is not. Its time follows the number of policies in the set. It answers with reasons, as Verdict does. In Rust, without that way, Cedar is faster.',
      'Verdict answers with reason, rules and obligations; a peer is asked for yes or no alone, and that is what is checked.',
    ],
  }
}
