import { isAt } from './candidate.ts'
import type { CompiledRule, Place } from './compiled-rule.ts'
import { asDecided, outcomeOf, type TraceCondition } from './condition-trace.ts'
import type { ConditionTrace, PartOutcome, RuleParts, RuleTrace } from './explanation.ts'
import type { Key } from './key.ts'
import type { ResourceSelector, SubjectSelector } from './model.ts'
import { matches } from './pattern.ts'
import type { Question } from './question.ts'

/** A rule with the outcome of each of its parts. `condition`: what the decision made of it, where it did. */
export function traceParts(
  rule: CompiledRule,
  question: Question,
  trace: TraceCondition,
  condition?: PartOutcome,
): Omit<RuleTrace, 'applies' | 'erred'> {
  const traced = conditionOf(rule, question, trace)
  const parts: RuleParts = {
    target: { outcome: outcomeOf(isTargeted(rule, question)) },
    subject: alternatives(rule.subjects.map(subjectOf), (_, at) => subjectHolds(rule.subjects[at], question)),
    action: alternatives(
      rule.actions.map(({ text }) => text),
      (_, at) => actionHolds(rule.actions[at], question),
    ),
    resource: alternatives(rule.resources.map(selectorOf), (_, at) => placeHolds(rule.resources[at], question)),
    validity: { outcome: outcomeOf(isValid(rule, question)), ...windowOf(rule) },
    ...(traced !== undefined && { condition: condition === undefined ? traced : asDecided(traced, condition) }),
  }
  return {
    rule: rule.key,
    ...(rule.policy.name === 'roles' && { permission: rule.place }),
    effect: rule.allows ? 'allow' : 'deny',
    priority: rule.priority,
    ...(rule.quarantined && { quarantined: true as const }),
    parts,
  }
}

export function isTargeted({ policy }: CompiledRule, { type, action, at }: Question): boolean {
  return policy.isAsked(type, action, at)
}

export function isValid({ validity }: CompiledRule, { now }: Question): boolean {
  return validity === undefined || (now >= validity.from && now < validity.until)
}

/** Undefined: it cannot be told, since the role that it asks for erred. */
export function subjectMatches({ subjects }: CompiledRule, question: Question): boolean | undefined {
  if (subjects.some((key) => question.isHeld(key))) return true
  return subjects.some((key) => question.isUnsure(key)) ? undefined : false
}

export function actionMatches({ actions }: CompiledRule, { action }: Question): boolean {
  return actions.some((pattern) => matches(pattern, action))
}

export function resourceMatches({ resources }: CompiledRule, question: Question): boolean {
  return resources.some((place) => isAt(place, question))
}

function subjectHolds(key: Key | undefined, question: Question): boolean | undefined {
  if (key === undefined) return false
  if (question.isHeld(key)) return true
  return question.isUnsure(key) ? undefined : false
}

function actionHolds(pattern: CompiledRule['actions'][number] | undefined, { action }: Question): boolean {
  return pattern !== undefined && matches(pattern, action)
}

function placeHolds(place: Place | undefined, question: Question): boolean {
  return place !== undefined && isAt(place, question)
}

const SHOWN = 10

interface Alternatives<T> {
  readonly outcome: PartOutcome
  readonly by?: T
  readonly of?: T[]
}

function alternatives<T>(all: readonly T[], holds: (one: T, at: number) => boolean | undefined): Alternatives<T> {
  let unsure: T | undefined
  for (const [at, one] of all.entries()) {
    const truth = holds(one, at)
    if (truth === true) return { outcome: 'holds', by: one }
    if (truth === undefined) unsure ??= one
  }
  if (unsure !== undefined) return { outcome: 'errs', by: unsure }
  return { outcome: 'fails', of: all.slice(0, SHOWN) }
}

function subjectOf({ kind, type, text }: Key): SubjectSelector {
  if (kind === 'any') return { any: true }
  return kind === 'role' ? { role: text } : { type, id: text }
}

function selectorOf({ type, id, within }: Place): ResourceSelector {
  return {
    type,
    ...(id !== undefined && { id: id.text }),
    ...(within !== undefined && { within: { type: within.type, id: within.text } }),
  }
}

function windowOf({ validity }: CompiledRule): { valid_from?: string; valid_until?: string } {
  if (validity === undefined) return {}
  const { from, until } = validity
  return {
    ...(Number.isFinite(from) && { valid_from: new Date(from).toISOString() }),
    ...(Number.isFinite(until) && { valid_until: new Date(until).toISOString() }),
  }
}

function conditionOf(rule: CompiledRule, question: Question, trace: TraceCondition): ConditionTrace | undefined {
  const { condition, quarantined } = rule
  if (condition === undefined) return undefined
  if (!quarantined) return trace(condition.text, question.scope())
  const { error } = trace(condition.text, question.scope())
  const unreadable = { detail: 'a part of the rule cannot be read' }
  return {
    outcome: 'errs',
    text: condition.text,
    values: [],
    error: condition.text === '' ? unreadable : (error ?? unreadable),
  }
}
