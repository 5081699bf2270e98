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
const CHANGED = 1000

export interface Measured {
  readonly rules: number
  readonly p50_us: number
  readonly p99_us: number
  readonly first_p50_us: number
  readonly with_facts_p50_us: number
  readonly allowed: string
  readonly change_p50_us: number
  readonly change_max_us: number
  readonly bytes_per_rule: number
  readonly load_s: number
}

export function measureVerdict(world: World, dice: Dice): Measured {
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
      return { ...asked, facts: factsFor(lookup, asked.request) }
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
  // Until the compiler has made of it what it will.
  blocks(whole, { block: 32, most: 20_000, seconds: 0.5 })
  blocks(known, { block: 32, most: 20_000, seconds: 0.5 })
  blocks(again, { block: 32, most: 20_000, seconds: 0.5 })
  const times = blocks(again, { block: 32, most: 3000, seconds: 2 })
  const alone = singles(again, { block: 1, most: 20_000, seconds: 2 })
  const first = blocks(known, { block: 32, most: 500, seconds: 1 })
  const withFacts = blocks(whole, { block: 32, most: 500, seconds: 1 })
  const changes = changeTimes(index, world, dice)
  return {
    rules: world.rules,
    p50_us: microseconds(times, 0.5),
    p99_us: microseconds(alone, 0.99),
    first_p50_us: microseconds(first, 0.5),
    with_facts_p50_us: microseconds(withFacts, 0.5),
    allowed: `${Math.round((100 * allowed) / CHECKED)} %`,
    change_p50_us: microseconds(changes, 0.5),
    change_max_us: microseconds(changes, 1),
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
function changeTimes(index: PolicyIndex, { rules, rule }: World, dice: Dice): number[] {
  const put = (before: Rule, after: Rule) =>
    index.apply({ kind: 'rule', key: { name: before.name }, operation: 'update', before, after })
  const times: number[] = []
  for (let count = 0; count < CHANGED; count++) {
    const as = fresh(rule(dice.below(rules)))
    const changed = { ...as, priority: 1 }
    const began = performance.now()
    put(as, changed)
    const between = performance.now()
    put(changed, as)
    times.push(between - began, performance.now() - between)
  }
  return times
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
