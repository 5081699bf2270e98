import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { type Carried, carriedBy } from '../../src/policy/context/carried.ts'
import { decideCarried } from '../../src/policy/context/decide.ts'
import type { Capability, ContextBody, Quotas } from '../../src/policy/context/model.ts'
import { type Narrowing, narrowed, widerThan } from '../../src/policy/context/narrow.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest } from '../../src/policy/model.ts'
import { Dice } from './dice.ts'
import { caseOf, edited } from './random-case.ts'
import { RandomPolicy } from './random-policy.ts'
import { type Asked, ask } from './random-question.ts'
import { present, RESOURCE_TYPES } from './universe.ts'

const COUNT = Number(process.env['VERDICT_TEST_CHAINS'] ?? 4_000)
const FIRST_SEED = Number(process.env['VERDICT_TEST_SEED'] ?? 1)

const LEVELS = ['read_only', 'read_write', 'admin', 'x', 'gone'] as const
const CONDITIONS = [
  'true',
  'level(subject) < level("admin")',
  'level(subject) >= level("read_write")',
  'resource.properties.n > 1',
  'subject.properties.owner == subject.id',
  '!("r1" in subject.roles)',
] as const
const NAMES = ['memory', 'cpu'] as const

/** A random context and how it is narrowed, in a random policy; the same seed makes the same. */
class Chain {
  readonly #dice: Dice
  readonly #random: RandomPolicy
  readonly #asked: readonly Asked[]
  readonly #loaded
  readonly bodies: readonly ContextBody[]

  /** `checked`: only what is not wider is taken, as it is where contexts are narrowed; else anything is. */
  constructor(seed: number, checked: boolean) {
    const dice = new Dice(seed ^ 0x5eed)
    const made = caseOf(seed)
    const bundle = edited(made)
    this.#dice = dice
    this.#random = new RandomPolicy(dice)
    this.#asked = [made.asked, ...dice.some(4, () => ask(dice, bundle))]
    this.#loaded = loadBundle(bundle)
    const bodies: ContextBody[] = [this.#root()]
    for (let at = dice.below(4); at >= 0; at--) {
      const wide = bodies.at(-1) ?? this.#root()
      const narrowing = this.#narrowing(checked ? wide : undefined)
      if (checked && widerThan(wide, narrowing, this.#loaded.index.settings.levels).length > 0) continue
      bodies.push(narrowed(`id-${bodies.length}`, wide, narrowing))
    }
    this.bodies = bodies
  }

  /** What each of the questions comes to: for the context, or (without one) for the subject itself. */
  answers(body: ContextBody | undefined, as: (carried: Carried) => Carried = (carried) => carried): boolean[] {
    const { index, lookup } = this.#loaded
    const carried = body && as(carriedBy(body))
    return this.#requests().map(({ request, now }) => {
      const facts = factsFor(lookup, request)
      if (carried === undefined) return decide(index, facts, request, now).decision
      return decideCarried(index, { facts, request }, carried, now, new Budget()).decision.decision
    })
  }

  #requests(): readonly Asked[] {
    return this.#asked.map(({ request, now }, place) => {
      const requested = [{ memory: 2 }, { memory: 3, cpu: 1 }, { cpu: '1' }, 7, undefined][place]
      const context = { ...request.context, ...(requested !== undefined && { requested }) }
      return { request: { ...request, context } satisfies AccessRequest, now }
    })
  }

  #root(): ContextBody {
    const { level, capabilities, quotas = {} } = this.#narrowing(undefined)
    return {
      subject: { type: 'user', id: 'a' },
      ...(level !== undefined && { level }),
      quotas,
      capabilities: capabilities === undefined ? [] : [[...capabilities]],
      parents: [],
    }
  }

  /** Of a context, mostly such a one that is not wider. */
  #narrowing(of: ContextBody | undefined): Narrowing {
    const dice = this.#dice
    const last = of?.capabilities.at(-1)
    return present<Narrowing>({
      level: dice.maybe(3, () => dice.one(LEVELS)),
      capabilities: dice.maybe(2, () =>
        last === undefined ? this.#capabilities() : last.map((one) => this.#less(one)),
      ),
      quotas: dice.maybe(4, (): Quotas => ({ [dice.one(NAMES)]: dice.one([1, 2, 2.5, 100]) })),
    })
  }

  #capabilities(): Capability[] {
    const dice = this.#dice
    return dice.some(3, () => this.#capability(), 1)
  }

  #capability(): Capability {
    const dice = this.#dice
    if (dice.chance(3)) return { actions: ['*'], resources: [{ type: '*' }], ...this.#condition() }
    const { actions, resources, condition } = this.#random.rule()
    return { actions, resources, ...(condition !== undefined && { condition }) }
  }

  #condition(): Pick<Capability, 'condition'> {
    const dice = this.#dice
    return dice.chance(2) ? { condition: dice.one(CONDITIONS) } : {}
  }

  /** The same with something less, or (seldom) something else. */
  #less(wide: Capability): Capability {
    const dice = this.#dice
    if (dice.chance(6)) return this.#capability()
    const { actions, resources, condition } = wide
    return {
      actions: actions.map((pattern) =>
        dice.chance(3) ? pattern.replace('*', dice.one(['', 'd', 'e*'])) || 'x' : pattern,
      ),
      resources: resources.map((place) => {
        const type = place.type === '*' && dice.chance(3) ? dice.one(RESOURCE_TYPES) : place.type
        return place.id === undefined && dice.chance(3)
          ? { ...place, type, id: dice.one(['a', 'a/**', '?', '*b']) }
          : { ...place, type }
      }),
      ...(condition === undefined || condition === null ? this.#condition() : { condition }),
    }
  }
}

interface Tally {
  readonly broken: number | undefined
  chains: number
  allowed: number
  denied: number
}

/** The first seed whose chain lets a narrower context do what a wider one does not. */
function firstWidened(count: number, checked: boolean, as?: (carried: Carried) => Carried): Tally {
  const tally = { broken: undefined, chains: 0, allowed: 0, denied: 0 }
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const chain = new Chain(seed, checked)
    let wider = chain.answers(undefined)
    for (const body of chain.bodies) {
      const narrower = chain.answers(body, as)
      if (narrower.some((is, place) => is && wider[place] !== true)) return { ...tally, broken: seed }
      tally.allowed += narrower.filter(Boolean).length
      tally.denied += wider.filter((was, place) => was && narrower[place] !== true).length
      wider = narrower
    }
    if (chain.bodies.length > 1) tally.chains++
  }
  return tally
}

describe('what a narrowed context allows is a subset of what the wider one allowed, and that of what its subject may', () => {
  test.each([
    ['of narrowings that are taken', true],
    ['whatever a narrowing says', false],
  ])(`%s (${(COUNT / 2).toLocaleString('en')} chains)`, { timeout: 600_000 }, (_what, checked) => {
    const { broken, chains, allowed, denied } = firstWidened(COUNT / 2, checked)
    expect(broken).toBeUndefined()
    // It says something only where much is allowed, and much is taken away.
    expect(chains).toBeGreaterThan(COUNT / 8)
    expect(allowed).toBeGreaterThan(COUNT / 20)
    expect(denied).toBeGreaterThan(COUNT / 20)
  })

  test('is broken where only the last layer counts', () => {
    const last = (carried: Carried) => ({ ...carried, layers: carried.layers.slice(-1) })
    expect(firstWidened(5_000, false, last).broken).toBeDefined()
  })

  test('is broken where only the last level counts', () => {
    const last = (carried: Carried) => ({ ...carried, levels: carried.levels.slice(-1) })
    expect(firstWidened(5_000, false, last).broken).toBeDefined()
  })

  test('holds of narrowings that are taken even where only the last layer counts: each of its capabilities is covered', () => {
    const last = (carried: Carried) => ({ ...carried, layers: carried.layers.slice(-1) })
    expect(firstWidened(Math.min(COUNT, 2_000), true, last).broken).toBeUndefined()
  })
})
