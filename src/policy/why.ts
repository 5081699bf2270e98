import { Budget } from './budget.ts'
import type { CompiledRule } from './compiled-rule.ts'
import { factsFor, type LoadedBundle } from './in-memory.ts'
import type { AccessRequest, Effect } from './model.ts'
import type { PolicyIndex } from './policy-index.ts'
import { Question } from './question.ts'

/** A rule, or a role's permission, whose subject, action and resource match a request, and what became of it. */
export interface Considered {
  readonly rule: string
  /** Which of a role's permissions; 0 for a rule. */
  readonly place: number
  readonly effect: Effect
  readonly outcome: 'applies' | 'condition_fails' | 'condition_errs' | 'not_in_force' | 'not_targeted'
}

/** What a decision was made from, for whoever reads a case that failed and for coverage. */
export interface Why {
  /** The roles that the subject holds: assigned, inherited and derived. */
  readonly roles: readonly string[]
  /** Those of which it cannot be told, since the condition of a derived role erred. */
  readonly unsure: readonly string[]
  /** In the order of their keys. */
  readonly considered: readonly Considered[]
}

/** Looks again at what `decide` looked at. `now` in milliseconds since 1970. */
export function why({ index, lookup }: LoadedBundle, request: AccessRequest, now: number): Why {
  const question = new Question(index, factsFor(lookup, request), request, now, new Budget())
  const candidates: CompiledRule[] = []
  index.rules.collect(question, candidates)
  const considered = candidates.map(
    (rule): Considered => ({
      rule: rule.key,
      place: rule.place,
      effect: rule.allows ? 'allow' : 'deny',
      outcome: outcomeOf(rule, question),
    }),
  )
  return { ...rolesOf(index, question), considered: considered.sort(byRule) }
}

function outcomeOf(rule: CompiledRule, question: Question): Considered['outcome'] {
  if (!rule.policy.isAsked(question.type, question.action, question.at)) return 'not_targeted'
  const { validity, condition } = rule
  if (validity !== undefined && (question.now < validity.from || question.now >= validity.until)) return 'not_in_force'
  const holds = condition === undefined ? true : question.holds(condition)
  if (holds === false) return 'condition_fails'
  return holds === undefined || rule.subjectErred ? 'condition_errs' : 'applies'
}

function rolesOf(index: PolicyIndex, question: Question): Pick<Why, 'roles' | 'unsure'> {
  const all = [...index.shared.roles.keys()].filter((role) => role !== undefined)
  const unsure = all.filter((role) => question.isUnsure(role) && !question.isHeld(role))
  const held = all.filter((role) => question.isHeld(role)).map(({ name }) => name)
  // What is assigned and nowhere defined is told by the question only, and by it only where every role can be told.
  const roles = new Set(unsure.length > 0 ? held : [...held, ...question.subjectRoles()])
  return { roles: [...roles].sort(), unsure: unsure.map(({ name }) => name).sort() }
}

function byRule(a: Considered, b: Considered): number {
  if (a.rule !== b.rule) return a.rule < b.rule ? -1 : 1
  return a.place - b.place
}

/** The roles through which somebody who holds these has what they have: themselves, and all that they inherit. */
export function reachedBy(index: PolicyIndex, role: string): readonly string[] {
  const node = index.shared.roles.get(role)
  return node === undefined ? [role] : index.shared.roles.closure(node).map(({ name }) => name)
}
