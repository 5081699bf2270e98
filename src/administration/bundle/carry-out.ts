import type { GivenAssignment, PolicyChange } from '../../policy/change.ts'
import { deleteAssignments, insertAssignments, putReasons } from '../../store/assignments.ts'
import { revokeContextsOf } from '../../store/contexts.ts'
import type { DocumentTable } from '../../store/documents.ts'
import { deleteEntities, putEntities } from '../../store/entities.ts'
import { policies } from '../../store/policies.ts'
import { roles } from '../../store/roles.ts'
import { rules } from '../../store/rules.ts'
import { revokeSessionsOf } from '../../store/sessions.ts'
import { putSettings } from '../../store/settings.ts'
import { types } from '../../store/types.ts'
import { given } from '../assignments.ts'
import type { Change } from '../change.ts'
import { withdrawAround } from '../permission-requests.ts'
import type { Documents } from './document.ts'
import type { Plan, SectionPlan } from './plan.ts'
import { sizedSlices, slices } from './slices.ts'

/**
 * Stores and logs what a plan says. What others build on comes first and goes last, so that whoever follows the log
 * never meets a name that is not there.
 */
export async function carryOut(change: Change, plan: Plan): Promise<void> {
  await setSettings(change, plan)
  await put(change, TYPES, plan.types)
  await put(change, POLICIES, plan.policies)
  await put(change, ROLES, plan.roles)
  await put(change, RULES, plan.rules)
  await putAllEntities(change, plan.entities)
  await takeAssignments(change, plan.assignments)
  await removeEntities(change, plan.entities)
  await putAssignments(change, plan)
  await remove(change, RULES, plan.rules)
  await remove(change, ROLES, plan.roles)
  await remove(change, POLICIES, plan.policies)
  await remove(change, TYPES, plan.types)
}

interface Kind<T> {
  readonly table: DocumentTable<T>
  logged(name: string, operation: PolicyChange['operation'], before: T | null, after: T | null): PolicyChange
}

const TYPES: Kind<Documents['types']> = {
  table: types,
  logged: (name, operation, before, after) => ({ kind: 'type', key: { name }, operation, before, after }),
}
const POLICIES: Kind<Documents['policies']> = {
  table: policies,
  logged: (name, operation, before, after) => ({ kind: 'policy', key: { name }, operation, before, after }),
}
const ROLES: Kind<Documents['roles']> = {
  table: roles,
  logged: (name, operation, before, after) => ({ kind: 'role', key: { name }, operation, before, after }),
}
const RULES: Kind<Documents['rules']> = {
  table: rules,
  logged: (name, operation, before, after) => ({ kind: 'rule', key: { name }, operation, before, after }),
}

async function setSettings(change: Change, { settings }: Plan): Promise<void> {
  if (settings === null || settings === 'unchanged') return
  const { before, after, unset } = settings
  await putSettings(change.trx, change, after)
  change.log(
    unset === true
      ? { kind: 'settings', key: null, operation: 'create', before: null, after }
      : { kind: 'settings', key: null, operation: 'update', before, after },
  )
}

async function put<T extends { readonly name: string }>(
  change: Change,
  { table, logged }: Kind<T>,
  section: SectionPlan<T> | undefined,
): Promise<void> {
  if (section === undefined) return
  for await (const slice of sizedSlices(writesOf(section))) {
    const documents = slice.map(({ after }) => after)
    await table.put(change.trx, change, documents)
    for (const { before, after } of slice) {
      change.log(logged(after.name, before === null ? 'create' : 'update', before, after))
    }
  }
}

function* writesOf<T>({ added, changed }: SectionPlan<T>): Iterable<{ before: T | null; after: T }> {
  for (const after of added) yield { before: null, after }
  for (const { before, after, unset } of changed) yield { before: unset === true ? null : before, after }
}

async function remove<T extends { readonly name: string }>(
  { trx, tenant, log }: Change,
  { table, logged }: Kind<T>,
  section: SectionPlan<T> | undefined,
): Promise<void> {
  for await (const slice of slices(section?.removed ?? [])) {
    await table.remove(
      trx,
      tenant,
      slice.map(({ name }) => name),
    )
    for (const before of slice) log(logged(before.name, 'delete', before, null))
  }
}

async function putAllEntities(change: Change, section: Plan['entities']): Promise<void> {
  if (section === undefined) return
  for await (const slice of sizedSlices(writesOf(section))) {
    const entities = slice.map(({ after }) => after)
    await putEntities(change.trx, change, entities, true)
    for (const { before, after } of slice) {
      const key = { type: after.type, id: after.id }
      change.log({ kind: 'entity', key, operation: before === null ? 'create' : 'update', before, after })
    }
  }
}

async function removeEntities(change: Change, section: Plan['entities']): Promise<void> {
  const { trx, tenant, log } = change
  for await (const slice of slices(section?.removed ?? [])) {
    await withdrawAround(change, slice)
    // What others hold for it is refused as being in use; what it holds itself ends with it.
    for (const subject of slice) await revokeSessionsOf(trx, tenant, subject)
    await revokeContextsOf(trx, tenant, ...slice)
    await deleteEntities(trx, tenant, slice)
    for (const before of slice) {
      log({ kind: 'entity', key: { type: before.type, id: before.id }, operation: 'delete', before, after: null })
    }
  }
}

async function takeAssignments({ trx, tenant, log }: Change, section: Plan['assignments']): Promise<void> {
  for await (const slice of slices(section?.removed ?? [])) {
    await deleteAssignments(
      trx,
      tenant,
      slice.map(({ id }) => id),
    )
    for (const before of slice) {
      log({ kind: 'assignment', key: { id: before.id }, operation: 'delete', before, after: null })
    }
  }
}

async function putAssignments(change: Change, { assignments, restated }: Plan): Promise<void> {
  const { trx, tenant, log } = change
  for await (const slice of slices(assignments?.changed ?? [])) {
    const after = slice.map((changed) => changed.after)
    await putReasons(trx, tenant, after)
    for (const { before, after } of slice) log(updated(before, after))
  }
  for (const assignment of restated) log(updated(assignment, assignment))
  for await (const slice of sizedSlices(assignments?.added ?? [])) {
    const added = slice.map((assignment) => given(change, assignment))
    await insertAssignments(trx, change, added, true)
    for (const after of added) {
      log({ kind: 'assignment', key: { id: after.id }, operation: 'create', before: null, after })
    }
  }
}

function updated(before: GivenAssignment, after: GivenAssignment): PolicyChange {
  return { kind: 'assignment', key: { id: before.id }, operation: 'update', before, after }
}
