import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Budget } from '../../src/policy/budget.ts'
import { decide } from '../../src/policy/decide.ts'
import { type EntityFacts, type Facts, gatherFacts } from '../../src/policy/entity-graph.ts'
import { factsFor, type LoadedBundle, loadBundle } from '../../src/policy/in-memory.ts'
import type { Decision, EntityRef, Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import type { Dice } from '../../test/policy/dice.ts'
import { blocks, type Call, quantile, rounded, singles } from '../timing.ts'
import type { Asked, World } from './mix.ts'

export const NOW = Date.parse('2030-01-01T00:00:00Z')
const AT_ONCE = 10_000
const CHECKED = 2000
const CHANGED = 10_000

export interface Measured {
  readonly rules: number
  readonly p50_us: number
  readonly p99_us: number
  readonly first_p50_us: number
  readonly after_write_p50_us: number
  readonly with_facts_p50_us: number
  readonly allowed: string
  readonly change_p50_us: number
  readonly change_p999_us: number
  readonly change_most_us: number
  readonly change_own_p999_us: number
  readonly change_own_most_us: number
  readonly bytes_per_rule: number
  readonly load_s: number
}

export async function measureVerdict(world: World, dice: Dice): Promise<Measured> {
  const { index, bytes, seconds } = loaded(world)
  const { lookup } = loadBundle({
    verdict: 1,
    entities: [...(world.entities ?? [])],
    assignments: [...(world.assignments ?? [])],
  })
  const draw = (): Asked => fresh(world.question(dice))
  const whole: Call<Asked> = {
    draw,
    ask: ({ request }) => decide(index, factsFor(lookup, request), request, NOW, new Budget()),
    check,
  }
  let allowed = 0
  for (let at = 0; at < CHECKED; at++) {
    const asked = draw()
    check(asked, whole.ask(asked))
    if (asked.reason === 'allowed_by_rule') allowed++
  }
  const known: Call<Asked & { readonly facts: Facts }> = {
    draw: () => {
      const asked = draw()
      const { subject, resource } = factsFor(lookup, asked.request)
      // What many assignments come to is kept with the list of them: this is one that nobody has asked about.
      return { ...asked, facts: { subject: { ...subject, given: subject.given.map((list) => [...list]) }, resource } }
    },
    ask: ({ request, facts }) => decide(index, facts, request, NOW, new Budget()),
    check,
  }
  const keeping = keeper(lookup)
  const again: Call<Asked & { readonly facts: Facts }> = {
    ...known,
    draw: () => {
      const asked = draw()
      const { subject, resource } = asked.request
      const facts = { subject: keeping(subject), resource: keeping(resource) }
      // Both have been asked about before.
      decide(index, facts, asked.request, NOW, new Budget())
      return { ...asked, facts }
    },
  }
  const change = changer(index, world, dice)
  const afterWrite: Call<Asked & { readonly facts: Facts }> = {
    ...again,
    draw: () => {
      const asked = again.draw()
      change()
      return asked
    },
  }
  // Until the compiler has made of it what it will.
  blocks(whole, { block: 32, most: 20_000, seconds: 0.5 })
  blocks(known, { block: 32, most: 20_000, seconds: 0.5 })
  blocks(again, { block: 32, most: 20_000, seconds: 0.5 })
  const times = blocks(again, { block: 32, most: 3000, seconds: 2 })
  const alone = singles(again, { block: 1, most: 20_000, seconds: 2 })
  const first = blocks(known, { block: 32, most: 500, seconds: 1 })
  const withFacts = blocks(whole, { block: 32, most: 500, seconds: 1 })
  const written = singles(afterWrite, { block: 1, most: 5000, seconds: 1 })
  const changes = await changeTimes(change)
  return {
    rules: world.rules,
    p50_us: microseconds(times, 0.5),
    p99_us: microseconds(alone, 0.99),
    first_p50_us: microseconds(first, 0.5),
    after_write_p50_us: microseconds(written, 0.5),
    with_facts_p50_us: microseconds(withFacts, 0.5),
    allowed: `${Math.round((100 * allowed) / CHECKED)} %`,
    change_p50_us: microseconds(changes.all, 0.5),
    change_p999_us: microseconds(changes.all, 0.999),
    change_most_us: microseconds(changes.all, 1),
    change_own_p999_us: microseconds(changes.own, 0.999),
    change_own_most_us: microseconds(changes.own, 1),
    bytes_per_rule: Math.round(bytes / world.rules),
    load_s: rounded(seconds),
  }
}

/** Gathers the facts of an entity once, as the service does for those that are in something or have assignments. */
function keeper(lookup: LoadedBundle['lookup']): (ref: EntityRef) => EntityFacts {
  const kept = new Map<string, Map<string, EntityFacts>>()
  return ({ type, id }) => {
    const ofType = kept.get(type) ?? new Map<string, EntityFacts>()
    kept.set(type, ofType)
    const facts = ofType.get(id) ?? gatherFacts(lookup, { type, id }, [])
    ofType.set(id, facts)
    return facts
  }
}

/** The index alone, by the way of documents: read from JSON, in parts, so that nothing of them is left but what it keeps. */
function loaded({ rules, rule, roles = [] }: World): { index: PolicyIndex; bytes: number; seconds: number } {
  const index = new PolicyIndex()
  const before = heapUsed()
  let seconds = load({ verdict: 1, roles: [...roles].map(fresh) }, index)
  for (let from = 0; from < rules; from += AT_ONCE) {
    const part = Array.from({ length: Math.min(AT_ONCE, rules - from) }, (_, at) => fresh(rule(from + at)))
    seconds += load({ verdict: 1, rules: part }, index)
  }
  return { index, bytes: heapUsed() - before, seconds }
}

function load(bundle: Parameters<typeof loadBundle>[0], index: LoadedBundle['index']): number {
  const began = performance.now()
  loadBundle(bundle, index)
  return (performance.now() - began) / 1000
}

/** As it comes over the wire: no text is shared with another, nor joined of parts, nor hashed before. */
function fresh<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

/** Nothing is timed before it is known to be right, and what is timed is right too. */
function check({ request, reason, rules }: Asked, answer: unknown): void {
  const { reason: given, rules: by } = answer as Decision
  if (given !== reason || !isDeepStrictEqual(by, rules))
    throw new Error(`${given} by ${by}, not ${reason} by ${rules}, to ${JSON.stringify(request)}`)
}

/** One rule among all, drawn at random, is written with another priority; then as it was. */
function changer(index: PolicyIndex, { rules, rule }: World, dice: Dice): () => Span[] {
  const put = (before: Rule, after: Rule) =>
    spanOf(() => index.apply({ kind: 'rule', key: { name: before.name }, operation: 'update', before, after }))
  return () => {
    const as = fresh(rule(dice.below(rules)))
    const changed = { ...as, priority: 1 }
    return [put(as, changed), put(changed, as)]
  }
}

/** Milliseconds by the clock, and of the processor's time. */
interface Span {
  readonly began: number
  readonly ended: number
  readonly processor: number
}

function spanOf(work: () => void): Span {
  const before = process.cpuUsage()
  const began = performance.now()
  work()
  const ended = performance.now()
  const { user, system } = process.cpuUsage(before)
  return { began, ended, processor: (user + system) / 1000 }
}

interface Pause {
  readonly startTime: number
  readonly duration: number
}

/** How long changes take, as the clock says; and of that what is neither another process's nor a collection of garbage. */
async function changeTimes(change: () => Span[]): Promise<{ readonly all: number[]; readonly own: number[] }> {
  const pauses: Pause[] = []
  const observer = new PerformanceObserver((list) => pauses.push(...list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  const spans = Array.from({ length: CHANGED }, change).flat()
  // Pauses are told of in a later turn.
  await setTimeout(100)
  observer.disconnect()
  const all = spans.map(({ began, ended }) => ended - began)
  const own = spans.map(({ began, ended, processor }) => {
    const within = pauses.filter(({ startTime, duration }) => startTime < ended && startTime + duration > began)
    const paused = within.map(({ startTime: at, duration }) => Math.min(at + duration, ended) - Math.max(at, began))
    return Math.min(ended - began, processor) - paused.reduce((sum, time) => sum + time, 0)
  })
  return { all, own }
}

function microseconds(times: readonly number[], share: number): number {
  return rounded(quantile(times, share) * 1000)
}

function heapUsed(): number {
  // Twice: the first leaves what finalizers hold.
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
