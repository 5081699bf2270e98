import { Failure } from '../failure.ts'
import type { GivenAssignment } from '../policy/change.ts'
import type { Bundle, Entity } from '../policy/model.ts'
import { anyAssignment, insertAssignments } from '../store/assignments.ts'
import { anyEntity, putEntities } from '../store/entities.ts'
import { policies } from '../store/policies.ts'
import { roles } from '../store/roles.ts'
import { rules } from '../store/rules.ts'
import { getSettings, putSettings } from '../store/settings.ts'
import { types } from '../store/types.ts'
import { given } from './assignments.ts'
import { bundleProblems } from './bundle-problems.ts'
import type { Change, Changer } from './change.ts'
import { normalEntity, normalPolicy, normalRole, normalRule, normalSettings, normalType, same } from './normal.ts'
import { refuse } from './refusal.ts'
import type { Answer, Write } from './write.ts'

/** How many things of each section a bundle brought. */
export type Filled = Readonly<Record<Exclude<keyof Bundle, 'verdict' | 'settings'>, number>>

// Each part's statements stay well within the time that one statement may take.
const PART = 1_000

/** Fills a tenant that has no policy yet with a bundle: all of it in one revision, or nothing. */
export function filler(change: Changer): (write: Write, bundle: Bundle) => Promise<Answer<Filled>> {
  return (write, bundle) =>
    change(write, async (at) => {
      refuse(bundleProblems(bundle))
      await refuseFilled(at)
      await fillSettings(at, bundle)
      await fillDocuments(at, bundle)
      const entities = (bundle.entities ?? []).map(normalEntity)
      await fillEntities(at, entities)
      const assignments = (bundle.assignments ?? []).map((assignment) => given(at, assignment))
      await fillAssignments(at, assignments)
      return { status: 200, body: counts(bundle), version: null, id: at.tenant }
    })
}

async function refuseFilled({ trx, tenant }: Change): Promise<void> {
  for (const table of [types, policies, roles, rules]) {
    if (await table.any(trx, tenant)) throw filled(tenant)
  }
  if ((await anyEntity(trx, tenant)) || (await anyAssignment(trx, tenant))) throw filled(tenant)
}

function filled(tenant: string): Failure {
  return new Failure('conflict', `the tenant ${tenant} has a policy already`)
}

async function fillSettings(change: Change, bundle: Bundle): Promise<void> {
  if (bundle.settings === undefined) return
  const stored = await getSettings(change.trx, change.tenant)
  const before = normalSettings(stored?.document ?? {})
  const after = normalSettings(bundle.settings)
  if (same(before, after)) return
  await putSettings(change.trx, change, after)
  change.log(
    stored === undefined
      ? { kind: 'settings', key: null, operation: 'create', before: null, after }
      : { kind: 'settings', key: null, operation: 'update', before, after },
  )
}

async function fillDocuments(change: Change, bundle: Bundle): Promise<void> {
  const { trx } = change
  const sections = {
    types: (bundle.types ?? []).map(normalType),
    policies: (bundle.policies ?? []).map(normalPolicy),
    roles: (bundle.roles ?? []).map(normalRole),
    rules: (bundle.rules ?? []).map(normalRule),
  }
  if (sections.types.length > 0) await types.put(trx, change, sections.types)
  if (sections.policies.length > 0) await policies.put(trx, change, sections.policies)
  if (sections.roles.length > 0) await roles.put(trx, change, sections.roles)
  if (sections.rules.length > 0) await rules.put(trx, change, sections.rules)
  const created = { operation: 'create', before: null } as const
  for (const after of sections.types) change.log({ kind: 'type', key: { name: after.name }, ...created, after })
  for (const after of sections.policies) change.log({ kind: 'policy', key: { name: after.name }, ...created, after })
  for (const after of sections.roles) change.log({ kind: 'role', key: { name: after.name }, ...created, after })
  for (const after of sections.rules) change.log({ kind: 'rule', key: { name: after.name }, ...created, after })
}

async function fillEntities(change: Change, entities: readonly Required<Entity>[]): Promise<void> {
  for (let from = 0; from < entities.length; from += PART) {
    await putEntities(change.trx, change, entities.slice(from, from + PART), true)
  }
  for (const after of entities) {
    const key = { type: after.type, id: after.id }
    change.log({ kind: 'entity', key, operation: 'create', before: null, after })
  }
}

async function fillAssignments(change: Change, assignments: readonly GivenAssignment[]): Promise<void> {
  for (let from = 0; from < assignments.length; from += PART) {
    await insertAssignments(change.trx, change, assignments.slice(from, from + PART), true)
  }
  for (const after of assignments) {
    change.log({ kind: 'assignment', key: { id: after.id }, operation: 'create', before: null, after })
  }
}

function counts({ types, policies, roles, rules, entities, assignments }: Bundle): Filled {
  return {
    types: types?.length ?? 0,
    policies: policies?.length ?? 0,
    roles: roles?.length ?? 0,
    rules: rules?.length ?? 0,
    entities: entities?.length ?? 0,
    assignments: assignments?.length ?? 0,
  }
}
