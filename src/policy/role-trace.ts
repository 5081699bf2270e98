import type { GivenAssignment } from './change.ts'
import type { TraceCondition } from './condition-trace.ts'
import type { EntityFacts, Lookup } from './entity-graph.ts'
import type { MissedRole, PartOutcome, RoleTrace, Through } from './explanation.ts'
import type { EntityRef } from './model.ts'
import type { PolicyIndex } from './policy-index.ts'
import { type Question, standingOf } from './question.ts'
import type { RoleNode } from './roles.ts'
import { type Scope, SubjectView } from './scope.ts'

const MISSED_AT_MOST = 100

export interface RolesTrace {
  readonly roles: RoleTrace[]
  readonly roles_missed: MissedRole[]
  readonly complete: boolean
}

/** What roles a decision took as held, and by which ways: told by the marks that it left, not worked out again. */
export function traceRoles(
  index: PolicyIndex,
  question: Question,
  { subject, resource }: { readonly subject: EntityFacts; readonly resource: EntityFacts },
  lookup: Lookup,
  trace: TraceCondition,
): RolesTrace {
  const walk = new Walk(index, question, trace)
  const paths = pathsFrom(subject, lookup)
  const missed: MissedRole[] = []
  for (const assignment of subject.given.flat()) {
    const standing = standingOf(assignment, resource, question.now)
    if (standing === 'in_force') walk.assign(assignment.role, givenBy(assignment, paths))
    else if (standing !== 'built_in') {
      missed.push({ role: assignment.role, because: standing, through: givenBy(assignment, paths) })
    }
  }
  walk.follow(missed)
  const roles = walk.roles()
  const held = new Set(roles.map(({ role }) => role))
  const others = missed.filter(({ role }) => !held.has(role)).sort((a, b) => inText(a.role, b.role))
  return { roles, roles_missed: others.slice(0, MISSED_AT_MOST), complete: others.length <= MISSED_AT_MOST }
}

function inText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** From the assigned roles along `inherits` and `derived`, as far as the decision marked them. */
class Walk {
  readonly #index: PolicyIndex
  readonly #question: Question
  readonly #trace: TraceCondition
  readonly #through = new Map<string, Through[]>()
  readonly #erred = new Set<string>()
  readonly #reached = new Set<RoleNode>()

  constructor(index: PolicyIndex, question: Question, trace: TraceCondition) {
    this.#index = index
    this.#question = question
    this.#trace = trace
  }

  assign(name: string, through: Through): void {
    const node = this.#index.shared.roles.get(name)
    if (node !== undefined) this.#reach(node)
    this.#ways({ name }).push(through)
  }

  follow(missed: MissedRole[]): void {
    // The sets grow while they are walked: first along `inherits`, since derivations see what is assigned and inherited.
    for (const node of this.#reached) this.#inherit(node)
    const scope = this.#assignedScope()
    const assigned = new Set(this.#reached)
    for (const node of this.#reached) {
      if (!assigned.has(node)) this.#inherit(node)
      for (const derived of node.derives) this.#derive(derived, node, scope, missed)
    }
  }

  roles(): RoleTrace[] {
    const all = [...this.#through].sort(([a], [b]) => inText(a, b))
    return all.map(([role, through]) => ({ role, erred: this.#erred.has(role), through }))
  }

  #inherit(by: RoleNode): void {
    for (const node of by.inherits) {
      this.#reach(node)
      // What is held anyway is not held through a role in error.
      if (this.#outcomeOf(node) === this.#outcomeOf(by)) this.#ways(node).push({ inherited_from: by.name })
    }
  }

  #derive(derived: RoleNode, from: RoleNode, scope: Scope, missed: MissedRole[]): void {
    const { derivation } = derived
    if (derivation === undefined) return
    // From a role in error follows an error, whatever the condition says.
    const isSure = this.#outcomeOf(from) === 'holds'
    const condition = isSure ? this.#trace(derivation.condition.text, scope) : undefined
    const way = { derived_from: from.name, ...(condition !== undefined && { condition }) }
    const outcome = this.#outcomeOf(derived)
    if (outcome === 'fails') {
      if (!missed.some(({ role, because }) => role === derived.name && because === 'condition'))
        missed.push({ role: derived.name, because: 'condition', through: way })
      return
    }
    this.#reach(derived)
    // It may be held, or in error, by another way alone.
    if ((condition?.outcome ?? 'errs') === outcome) this.#ways(derived).push(way)
  }

  #outcomeOf(role: RoleNode): PartOutcome {
    if (this.#question.isHeld(role)) return 'holds'
    return this.#question.isUnsure(role) ? 'errs' : 'fails'
  }

  #reach(node: RoleNode): void {
    this.#reached.add(node)
    this.#ways(node)
    if (this.#outcomeOf(node) === 'errs') this.#erred.add(node.name)
  }

  #ways({ name }: { readonly name: string }): Through[] {
    const ways = this.#through.get(name) ?? []
    this.#through.set(name, ways)
    return ways
  }

  /** What the condition of a derived role reads: `subject.roles` without the derived ones. */
  #assignedScope(): Scope {
    const scope = this.#question.scope()
    const { subjectType, subjectId, subjectKnown } = this.#question
    const roles = [...this.#through.keys()].sort()
    const subject = new SubjectView({
      subjectType,
      subjectId,
      subjectKnown,
      subjectProperties: () => this.#question.subjectProperties(),
      subjectRoles: () => roles,
    })
    return scope.about(subject)
  }
}

function givenBy({ id, subject, within, valid_from, valid_until }: GivenAssignment, paths: Paths): Through {
  const { type, id: holder } = subject
  const path = paths.to(subject)
  return {
    assignment: id,
    subject: { type, id: holder },
    ...(path !== undefined && { path }),
    ...(within !== undefined && { within }),
    ...(typeof valid_from === 'string' && { valid_from }),
    ...(typeof valid_until === 'string' && { valid_until }),
  }
}

interface Paths {
  /** Undefined: what lies between is not in memory any more. */
  to(ref: EntityRef): EntityRef[] | undefined
}

interface Step {
  readonly ref: EntityRef
  readonly below: Step | undefined
}

/** The shortest way from a subject up to each of its ancestors. */
function pathsFrom({ type, id }: EntityRef, lookup: Lookup): Paths {
  const steps = new Map<string, Map<string, Step>>()
  const queue: Step[] = []
  const reach = (ref: EntityRef, below: Step | undefined) => {
    const ofType = steps.get(ref.type) ?? new Map<string, Step>()
    if (ofType.has(ref.id)) return
    const step = { ref: { type: ref.type, id: ref.id }, below }
    steps.set(ref.type, ofType.set(ref.id, step))
    queue.push(step)
  }
  reach({ type, id }, undefined)
  for (const step of queue) for (const parent of lookup(step.ref.type, step.ref.id)?.parents ?? []) reach(parent, step)
  return {
    to(ref) {
      const path: EntityRef[] = []
      for (let at = steps.get(ref.type)?.get(ref.id); at !== undefined; at = at.below) path.unshift(at.ref)
      return path.length === 0 ? undefined : path
    },
  }
}
