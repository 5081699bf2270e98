import type { GivenAssignment } from '../../policy/change.ts'
import { BUILT_IN_POLICIES, type Entity, type EntityRef, type Policy, type Settings } from '../../policy/model.ts'
import { isReadable } from '../../policy/soundness.ts'
import {
  assignmentsOfBundles,
  assignmentsOfPairs,
  entitiesOfBundles,
  holdersAmong,
  type Pair,
} from '../../store/bundle.ts'
import type { DocumentTable } from '../../store/documents.ts'
import { getEntities } from '../../store/entities.ts'
import { policies } from '../../store/policies.ts'
import { roles } from '../../store/roles.ts'
import { rules } from '../../store/rules.ts'
import { getSettings } from '../../store/settings.ts'
import { types } from '../../store/types.ts'
import type { Change } from '../change.ts'
import { normalAssignment, normalPolicy, normalRole, normalRule, normalSettings, normalType, same } from '../normal.ts'
import type { Documents, Placed, ReadBundle } from './document.ts'
import { identityOf, refIdentity } from './identity.ts'
import { NIL_UUID, pages, slices } from './slices.ts'

/** What a bundle would do to a section. `S` is how the store has a thing, where that differs from its document. */
export interface SectionPlan<T, S extends T = T> {
  readonly added: T[]
  readonly changed: Changed<S>[]
  readonly removed: S[]
  unchanged: number
}

export interface Changed<T> {
  readonly before: T
  readonly after: T
  /** What stands in `before` is a default: nothing is stored yet. */
  readonly unset?: true
}

/** What a bundle would do to a tenant. A section that it leaves alone is not here. */
export interface Plan {
  readonly settings: Changed<Required<Settings>> | 'unchanged' | null
  readonly types?: SectionPlan<Documents['types']>
  readonly policies?: SectionPlan<Documents['policies']>
  readonly roles?: SectionPlan<Documents['roles']>
  readonly rules?: SectionPlan<Documents['rules']>
  readonly entities?: SectionPlan<Documents['entities']>
  readonly assignments?: SectionPlan<Documents['assignments'], GivenAssignment>
  /** Assignments that stay though their subject's entity goes: whoever follows the log must be told again. */
  readonly restated: readonly GivenAssignment[]
  /** What the bundle declares and somebody made besides: no bundle that leaves it out deletes it. */
  readonly byHand: ByHand
}

export interface ByHand {
  readonly entities: readonly Documents['entities'][]
  readonly assignments: readonly Documents['assignments'][]
}

/** Compares a bundle with what the tenant has, and writes nothing. */
export async function planOf(change: Change, { settings, sections }: ReadBundle): Promise<Plan> {
  const entities = sections.entities && (await planEntities(change, sections.entities))
  const gone = new Set((entities?.plan.removed ?? []).map(refIdentity))
  const assigned = sections.assignments && (await planAssignments(change, sections.assignments, gone))
  return {
    settings: settings && (await planSettings(change, settings)),
    ...(sections.types && { types: await planDocuments(change, types, normalType, sections.types) }),
    ...(sections.policies && { policies: await planPolicies(change, sections.policies) }),
    ...(sections.roles && { roles: await planDocuments(change, roles, normalRole, sections.roles) }),
    ...(sections.rules && { rules: await planDocuments(change, rules, normalRule, sections.rules) }),
    ...(entities && { entities: entities.plan }),
    ...(assigned && { assignments: assigned.plan }),
    restated: assigned?.restated ?? [],
    byHand: { entities: entities?.byHand ?? [], assignments: assigned?.byHand ?? [] },
  }
}

async function planSettings(
  { trx, tenant }: Change,
  after: Required<Settings>,
): Promise<Changed<Required<Settings>> | 'unchanged'> {
  const stored = await getSettings(trx, tenant)
  const before = normalSettings(stored?.document ?? {})
  if (isReadable('settings', stored?.document ?? {}) && same(before, after)) return 'unchanged'
  return stored === undefined ? { before, after, unset: true } : { before, after }
}

async function planDocuments<T extends { readonly name: string }>(
  { trx, tenant }: Change,
  table: DocumentTable<T>,
  normal: (document: T) => T,
  wanted: readonly Placed<T>[],
): Promise<SectionPlan<T>> {
  const plan: SectionPlan<T> = { added: [], changed: [], removed: [], unchanged: 0 }
  const left = await byIdentity(wanted, ({ name }) => name)
  let cursor: string | null | undefined
  do {
    const page = await table.list(trx, tenant, { limit: PAGE, cursor })
    for (const { document } of page.items) {
      const before = normal(document)
      const after = left.get(before.name)
      if (after === undefined) plan.removed.push(before)
      else note(plan, before, after)
      left.delete(before.name)
    }
    cursor = page.next_cursor
  } while (cursor !== null)
  // Not spread: so many arguments do not fit a call.
  for (const document of left.values()) plan.added.push(document)
  return plan
}

const PAGE = 500

function note<T>(plan: SectionPlan<T>, before: T, after: T): void {
  if (same(before, after)) plan.unchanged++
  else plan.changed.push({ before, after })
}

const DEFAULT_POLICIES = new Map<string, Policy>(BUILT_IN_POLICIES.map((name) => [name, normalPolicy({ name })]))

/** Built-in policies are always there: one that is not declared returns to its defaults. */
async function planPolicies(change: Change, wanted: readonly Placed<Policy>[]): Promise<SectionPlan<Policy>> {
  const { added, changed, removed, unchanged } = await planDocuments(change, policies, normalPolicy, wanted)
  const plan: SectionPlan<Policy> = { added: [], changed, removed: [], unchanged }
  for (const after of added) {
    const unset = DEFAULT_POLICIES.get(after.name)
    if (unset === undefined) plan.added.push(after)
    else if (same(unset, after)) plan.unchanged++
    else plan.changed.push({ before: unset, after, unset: true })
  }
  for (const before of removed) {
    const unset = DEFAULT_POLICIES.get(before.name)
    if (unset === undefined) plan.removed.push(before)
    else if (!same(before, unset)) plan.changed.push({ before, after: unset })
  }
  return plan
}

type Whole = Required<Entity>

async function planEntities(
  { trx, tenant }: Change,
  wanted: readonly Placed<Whole>[],
): Promise<{ plan: SectionPlan<Whole>; byHand: Whole[] }> {
  const plan: SectionPlan<Whole> = { added: [], changed: [], removed: [], unchanged: 0 }
  const kept = new Set<string>()
  const standing = new Map<string, Whole>()
  for await (const slice of slices(wanted)) {
    const stored = await getEntities(
      trx,
      tenant,
      slice.map(({ document: { type, id } }) => ({ type, id })),
    )
    const present = new Map(stored.map(({ document }) => [refIdentity(document), document]))
    for (const { document } of slice) {
      const identity = refIdentity(document)
      kept.add(identity)
      const before = present.get(identity)
      if (before === undefined) plan.added.push(document)
      else note(plan, before, document)
      if (before !== undefined) standing.set(identity, document)
    }
  }
  const read = (after: EntityRef | undefined, limit: number) =>
    entitiesOfBundles(trx, tenant, after ?? { type: '', id: '' }, limit)
  for await (const page of pages(read)) {
    for (const ref of page) standing.delete(refIdentity(ref))
    const left = page.filter((ref) => !kept.has(refIdentity(ref)))
    if (left.length === 0) continue
    const holders = new Set((await holdersAmong(trx, tenant, left)).map(refIdentity))
    const gone = left.filter((ref) => !holders.has(refIdentity(ref)))
    plan.removed.push(...(await getEntities(trx, tenant, gone)).map(({ document }) => document))
  }
  return { plan, byHand: [...standing.values()] }
}

type OfBundle = Awaited<ReturnType<typeof assignmentsOfBundles>>[number]
type AssignmentsPlan = SectionPlan<Documents['assignments'], GivenAssignment>

async function planAssignments(
  { trx, tenant }: Change,
  wanted: readonly Placed<Documents['assignments']>[],
  gone: ReadonlySet<string>,
): Promise<{ plan: AssignmentsPlan; restated: GivenAssignment[]; byHand: Documents['assignments'][] }> {
  const plan: AssignmentsPlan = { added: [], changed: [], removed: [], unchanged: 0 }
  const restated: GivenAssignment[] = []
  const left = await byIdentity(wanted, identityOf.assignments)
  const kept = new Set(left.keys())
  const standing = new Map<string, Documents['assignments']>()
  for await (const slice of slices(await pairsOf(wanted))) {
    const read = (after: GivenAssignment | undefined, limit: number) =>
      assignmentsOfPairs(trx, tenant, slice, after?.id ?? NIL_UUID, limit)
    for await (const page of pages(read)) {
      for (const before of page) {
        const identity = identityOf.assignments(before)
        const after = left.get(identity)
        if (after === undefined || !left.delete(identity)) continue
        standing.set(identity, after)
        if (same(normalAssignment(before), after)) plan.unchanged++
        else plan.changed.push({ before, after: { ...before, reason: after.reason ?? null } })
        if (gone.has(refIdentity(before.subject))) restated.push({ ...before, reason: after.reason ?? null })
      }
    }
  }
  for (const document of left.values()) plan.added.push(document)
  const read = (after: OfBundle | undefined, limit: number) =>
    assignmentsOfBundles(trx, tenant, after?.assignment.id ?? NIL_UUID, limit)
  for await (const page of pages(read)) {
    for (const { assignment, stays } of page) {
      const identity = identityOf.assignments(assignment)
      standing.delete(identity)
      if (!stays && !kept.has(identity)) plan.removed.push(assignment)
    }
  }
  return { plan, restated, byHand: [...standing.values()] }
}

/** Who is given what, each once: a subject with many scopes of one role is asked about once. */
async function pairsOf(wanted: readonly Placed<Documents['assignments']>[]): Promise<Iterable<Pair>> {
  const pairs = new Map<string, Pair>()
  for await (const slice of slices(wanted)) {
    for (const { document } of slice) {
      const { type, id } = document.subject
      pairs.set(JSON.stringify([type, id, document.role]), { type, id, role: document.role })
    }
  }
  return pairs.values()
}

async function byIdentity<T>(wanted: readonly Placed<T>[], identity: (document: T) => string): Promise<Map<string, T>> {
  const found = new Map<string, T>()
  for await (const slice of slices(wanted)) for (const { document } of slice) found.set(identity(document), document)
  return found
}

/** Whether carrying it out would change anything. */
export function isEmpty(plan: Plan): boolean {
  const sections = [plan.types, plan.policies, plan.roles, plan.rules, plan.entities, plan.assignments]
  const touched = sections.some(
    (section) => section !== undefined && section.added.length + section.changed.length + section.removed.length > 0,
  )
  return !touched && (plan.settings === null || plan.settings === 'unchanged')
}
