import { isDeepStrictEqual } from 'node:util'
import { CLEAR } from '../../src/policy/condition-trace.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Facts } from '../../src/policy/entity-graph.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, type LoadedBundle, loadBundle } from '../../src/policy/in-memory.ts'
import { type Judgement, judgeRequest } from '../../src/policy/judgement.ts'
import type { Key } from '../../src/policy/key.ts'
import type { Bundle, Decision, Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { type IndexLimits, RuleIndex } from '../../src/policy/rule-index.ts'
import { Dice } from './dice.ts'
import { naiveDecide } from './naive.ts'
import { naiveJudge } from './naive-judge.ts'
import { type Case, edited, SMALL } from './random-case.ts'
import { CONDITIONS } from './random-meanings.ts'
import { RandomPolicy } from './random-policy.ts'

/** What is held against the laws; tests put faults into it. */
export interface Engine {
  readonly makeRules: (any: Key, limits: IndexLimits) => RuleIndex
  readonly decide: typeof decide
  readonly explain: typeof explain
  readonly judgeRequest: typeof judgeRequest
}

export const ENGINE: Engine = {
  makeRules: (any, limits) => new RuleIndex(any, limits),
  decide,
  explain,
  judgeRequest,
}

/** One case under trial. What more than one law needs is worked out once. */
export class Trial {
  readonly made: Case
  readonly #engine: Engine
  #answer: Decision | undefined
  #inPlace: InPlace | undefined

  constructor(made: Case, engine = ENGINE) {
    this.made = made
    this.#engine = engine
  }

  /** To the documents as they stand after the edits. */
  get answer(): Decision {
    this.#answer ??= this.answerTo(edited(this.made))
    return this.#answer
  }

  get limits(): IndexLimits {
    return SMALL[this.made.seed % SMALL.length] ?? SMALL[0]
  }

  answerTo(bundle: Bundle, limits = this.limits): Decision {
    const { index, lookup } = this.load(bundle, limits)
    const { request, now } = this.made.asked
    return this.#engine.decide(index, factsFor(lookup, request), request, now)
  }

  load(bundle: Bundle, limits = this.limits) {
    return loadBundle(bundle, new PolicyIndex((any) => this.#engine.makeRules(any, limits)))
  }

  /** Loaded, then edited in place. */
  get inPlace(): InPlace {
    this.#inPlace ??= new InPlace(this.made, this.#engine, this.load(this.made.bundle))
    return this.#inPlace
  }

  /** The same for the same case, and another for each law. */
  dice(of: number): Dice {
    return new Dice(this.made.seed * 31 + of * 1_000_003)
  }
}

class InPlace {
  readonly first: Decision
  readonly #made: Case
  readonly #engine: Engine
  readonly #world: LoadedBundle
  readonly #facts: Facts

  constructor(made: Case, engine: Engine, world: LoadedBundle) {
    this.#made = made
    this.#engine = engine
    this.#world = world
    for (const edit of made.edits) world.index.apply(edit)
    this.#facts = factsFor(world.lookup, made.asked.request)
    this.first = this.again()
  }

  again(): Decision {
    const { request, now } = this.#made.asked
    return this.#engine.decide(this.#world.index, this.#facts, request, now)
  }

  explained(): Decision {
    const { request, now } = this.#made.asked
    const { index, lookup } = this.#world
    return this.#engine.explain(index, this.#facts, request, now, lookup, CLEAR).decision
  }

  judged(): Judgement {
    return this.#engine.judgeRequest(this.#world.index, this.#facts, this.#made.asked.request)
  }
}

export interface Law {
  readonly name: string
  /** Undefined: it holds. */
  broken(trial: Trial): unknown
}

const unlike = (given: unknown, wanted: unknown) => (isDeepStrictEqual(given, wanted) ? undefined : { given, wanted })

const moreAllowed = (before: Decision, after: Decision, by: unknown) =>
  after.decision && !before.decision ? { before, after, by } : undefined

const reference: Law = {
  name: 'a decision, on an index that was edited in place, is that of the plain reference',
  broken: (trial) =>
    unlike(
      trial.inPlace.first,
      naiveDecide(edited(trial.made), CONDITIONS, trial.made.asked.request, trial.made.asked.now),
    ),
}

const explanation: Law = {
  name: 'an explanation has the decision of authorize, and leaves nothing behind that changes the next',
  broken(trial) {
    const { inPlace } = trial
    return unlike([inPlace.explained(), inPlace.again()], [inPlace.first, inPlace.first])
  },
}

const judgement: Law = {
  name: 'the properties of a request are judged as the plain reading of their types judges them',
  broken(trial) {
    const { problems, warnings } = trial.inPlace.judged()
    const pointers = (found: typeof problems) => found.map(({ pointer }) => pointer).sort()
    return unlike(
      { problems: pointers(problems), warnings: pointers(warnings) },
      naiveJudge(edited(trial.made), trial.made.asked.request),
    )
  },
}

/** A rule under a name of its own, as random as others, or about whatever is asked: then it is always looked at. */
function another(dice: Dice, effect: Rule['effect']): Rule {
  const rule: Rule = { ...new RandomPolicy(dice).rule(), name: 'another', effect }
  if (dice.chance(3)) return rule
  return { ...rule, subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
}

const withRule = (bundle: Bundle, rule: Rule): Bundle => ({ ...bundle, rules: [...(bundle.rules ?? []), rule] })

// Whatever the algorithms and whichever policies are required: a deny can only turn what its policy comes to into a
// deny, or leave it.
const addedDeny: Law = {
  name: 'a deny rule that is added never turns a deny into an allow',
  broken(trial) {
    const deny = another(trial.dice(1), 'deny')
    return moreAllowed(trial.answer, trial.answerTo(withRule(edited(trial.made), deny)), deny)
  },
}

// With `first_applicable` too: where the allow was not first it changes nothing, and where it was its policy came to
// allow already. A required policy that comes to less is satisfied by less.
const removedAllow: Law = {
  name: 'an allow rule or a permission that is taken away never turns a deny into an allow',
  broken(trial) {
    const dice = trial.dice(2)
    const bundle = edited(trial.made)
    const allow = another(dice, 'allow')
    if (dice.chance(2)) return moreAllowed(trial.answerTo(withRule(bundle, allow)), trial.answer, allow)
    const { rules = [], roles = [] } = bundle
    const allows = rules.filter(({ effect }) => effect === 'allow')
    const holders = roles.filter(({ permissions = [] }) => permissions.length > 0)
    const which = dice.below(Math.max(allows.length + holders.length, 1))
    const gone = allows[which] ?? holders[which - allows.length]
    const less = {
      ...bundle,
      rules: rules.filter((rule) => rule !== gone),
      roles: roles.map((role) => (role === gone ? { ...role, permissions: role.permissions?.slice(1) ?? [] } : role)),
    }
    return moreAllowed(trial.answer, trial.answerTo(less), gone)
  },
}

// Of the parts of a bundle that have names; those of one name are one. An order within a rule is another matter: that of
// a role's permissions and of a rule's obligations is the order of the obligations in the answer.
const order: Law = {
  name: 'the order in which things were written changes nothing, nor does writing one twice',
  broken(trial) {
    const dice = trial.dice(3)
    const shuffled = <T>(items: readonly T[] = []): T[] =>
      items
        .map((item) => ({ item, at: dice.below(1000) }))
        .sort((a, b) => a.at - b.at)
        .map(({ item }) => item)
    const bundle = edited(trial.made)
    const { types, policies, roles, rules = [], entities, assignments = [] } = bundle
    const other: Bundle = {
      ...bundle,
      types: shuffled(types),
      policies: shuffled(policies),
      roles: shuffled(roles),
      rules: shuffled([...rules, ...rules]),
      entities: shuffled(entities),
      assignments: shuffled([...assignments, ...assignments]),
    }
    return unlike(trial.answerTo(other), trial.answer)
  },
}

const empty: Law = {
  name: 'without rules and roles nothing is allowed',
  broken(trial) {
    const { rules: _rules, roles: _roles, ...rest } = edited(trial.made)
    const answer = trial.answerTo(rest)
    return answer.decision ? answer : undefined
  },
}

const limits: Law = {
  name: 'where the index changes its ways of filing changes nothing',
  broken(trial) {
    const others = SMALL.filter((one) => one !== trial.limits)
    const other = others[trial.dice(4).below(others.length)]
    return unlike(trial.answerTo(edited(trial.made), other), trial.answer)
  },
}

/** What holds of every policy and every request, but for the names that a law itself says. */
export const LAWS = { reference, explanation, judgement, addedDeny, removedAllow, order, empty, limits }
