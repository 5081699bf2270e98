import type { CompiledPolicy, CompiledRule } from './compiled-rule.ts'

/** What a policy comes to; undefined: nothing, no rule of it applies. */
export type Verdict = 'allow' | 'deny' | undefined

/** One policy's rules that apply or erred, in the order of their keys, and what the policy comes to by them. */
export interface Outcome {
  readonly policy: CompiledPolicy
  readonly rules: readonly CompiledRule[]
  /** An allow that erred does not apply, a deny that erred does. */
  readonly verdict: Verdict
  /** The same with the denies left out that erred. */
  readonly sureVerdict: Verdict
}

/** `rules` in the order of their keys, so that those of one policy stand together. */
export function combinePolicies(rules: readonly CompiledRule[]): Outcome[] {
  const outcomes: Outcome[] = []
  for (let from = 0; from < rules.length; ) {
    const policy = rules[from]?.policy
    if (policy === undefined) break
    let to = from + 1
    while (rules[to]?.policy === policy) to++
    outcomes.push(combine(policy, to - from === rules.length ? rules : rules.slice(from, to)))
    from = to
  }
  return outcomes
}

function combine(policy: CompiledPolicy, rules: readonly CompiledRule[]): Outcome {
  const verdict = verdictOf(policy, rules, true)
  // Denies that erred can only ever add a deny.
  const sureVerdict = verdict === 'deny' ? verdictOf(policy, rules, false) : verdict
  return { policy, rules, verdict, sureVerdict }
}

function verdictOf({ combining }: CompiledPolicy, rules: readonly CompiledRule[], withErred: boolean): Verdict {
  if (combining === 'first_applicable') return effectOf(firstApplicable(rules, withErred))
  const winner = combining === 'deny_overrides' ? 'deny' : 'allow'
  let other: Verdict
  for (const rule of rules) {
    if (!applies(rule, withErred)) continue
    const effect = effectOf(rule)
    if (effect === winner) return effect
    other = effect
  }
  return other
}

/** The applicable rule of the highest priority; of several, the first by name. */
function firstApplicable(rules: readonly CompiledRule[], withErred: boolean): CompiledRule | undefined {
  let first: CompiledRule | undefined
  for (const rule of rules) {
    if (applies(rule, withErred) && (first === undefined || rule.priority > first.priority)) first = rule
  }
  return first
}

/** Pushes the keys of the rules that made a policy come to its sure verdict; a role's permissions have one key. */
export function pushDecisive({ policy, rules, sureVerdict }: Outcome, into: string[]): void {
  if (policy.combining === 'first_applicable') {
    const first = firstApplicable(rules, false)
    if (first !== undefined) into.push(first.key)
    return
  }
  let last: string | undefined
  for (const rule of rules) {
    if (rule.erred || effectOf(rule) !== sureVerdict) continue
    // Only a permission that is not its role's first can have the key of another: the others' texts are not touched.
    if (rule.place > 0 && rule.key === last) continue
    last = rule.key
    into.push(last)
  }
}

/** The keys of the rules that made a policy come to its verdict: where only errors made it deny, those that erred. */
export function decisiveRules(outcome: Outcome): string[] {
  const { policy, rules, verdict, sureVerdict } = outcome
  const keys: string[] = []
  if (verdict === undefined) return keys
  if (verdict === sureVerdict) pushDecisive(outcome, keys)
  else if (policy.combining === 'first_applicable') keys.push(firstApplicable(rules, true)?.key ?? '')
  else for (const rule of rules) if (rule.erred && !rule.allows) keys.push(rule.key)
  return keys
}

function applies(rule: CompiledRule, withErred: boolean): boolean {
  return !rule.erred || (withErred && !rule.allows)
}

function effectOf(rule: CompiledRule | undefined): Verdict {
  if (rule === undefined) return undefined
  return rule.allows ? 'allow' : 'deny'
}
