import { alwaysErrs, type Condition, compileCondition, isFault } from '../condition.ts'
import { type EntityFacts, isWithin } from '../entity-graph.ts'
import type { AccessRequest, EntityRef } from '../model.ts'
import { actionPattern, idPattern, matches, type Pattern } from '../pattern.ts'
import type { Question } from '../question.ts'
import type { Capability, ContextBody, Quotas } from './model.ts'

/** What a context carries, ready to be decided by. */
export interface Carried {
  /** In the order in which they were given. */
  readonly levels: readonly string[]
  readonly layers: readonly Layer[]
  readonly quotas: Quotas
}

type Layer = readonly CompiledCapability[]

interface CompiledCapability {
  readonly actions: readonly Pattern[]
  readonly resources: readonly Place[]
  readonly condition: Condition | undefined
}

interface Place {
  readonly type: string
  readonly id: Pattern | undefined
  readonly within: EntityRef | undefined
}

export function carriedBy({ level, former_levels = [], quotas, capabilities }: ContextBody): Carried {
  const levels = level === undefined ? former_levels : [...former_levels, level]
  return { levels, quotas, layers: capabilities.map((layer) => layer.map(compiled)) }
}

function compiled({ actions, resources, condition }: Capability): CompiledCapability {
  return {
    actions: actions.map(actionPattern),
    resources: resources.map(({ type, id, within }) => ({
      type,
      id: id === undefined ? undefined : idPattern(id),
      within,
    })),
    condition: typeof condition === 'string' ? compiledCondition(condition) : undefined,
  }
}

function compiledCondition(text: string): Condition {
  const made = compileCondition(text)
  return isFault(made) ? alwaysErrs(text) : made
}

/** Whether each layer has a capability for the request. `question` is made for conditions only. */
export function isCarried(
  { layers }: Carried,
  resource: EntityFacts,
  request: AccessRequest,
  question: () => Question,
): boolean {
  return layers.every((layer) => layer.some((capability) => isFor(capability, resource, request, question)))
}

function isFor(
  { actions, resources, condition }: CompiledCapability,
  facts: EntityFacts,
  { action, resource }: AccessRequest,
  question: () => Question,
): boolean {
  if (!actions.some((pattern) => matches(pattern, action.name))) return false
  if (!resources.some((place) => isAt(place, resource, facts))) return false
  // One that errs does not allow.
  return condition === undefined || question().holds(condition) === true
}

function isAt({ type, id, within }: Place, resource: EntityRef, facts: EntityFacts): boolean {
  if (type !== '*' && type !== resource.type) return false
  if (id !== undefined && !matches(id, resource.id)) return false
  return within === undefined || isWithin(facts, within)
}

/** Whether a request asks for more than a quota lets it, or for what is no amount. What it does not name it does not ask for. */
export function exceedsQuota({ quotas }: Carried, { context }: AccessRequest): boolean {
  const names = Object.keys(quotas)
  if (names.length === 0 || context === undefined || !Object.hasOwn(context, 'requested')) return false
  const { requested } = context
  if (typeof requested !== 'object' || requested === null || Array.isArray(requested)) return true
  const amounts = new Map(Object.entries(requested))
  return names.some((name) => amounts.has(name) && !isWithinQuota(amounts.get(name), quotas[name]))
}

function isWithinQuota(amount: unknown, quota: number | undefined): boolean {
  return typeof amount === 'number' && quota !== undefined && amount >= 0 && amount <= quota
}
