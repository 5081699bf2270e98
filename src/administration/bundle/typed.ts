import type { Problem } from '../../failure.ts'
import { type Judgement, judgeStored, under } from '../../policy/judgement.ts'
import type { EntityType } from '../../policy/model.ts'
import { typesNamed, undeclaredInRole, undeclaredInRule } from '../../policy/undeclared.ts'
import { withMembers } from '../../store/entities.ts'
import { declaredTypes } from '../../store/types.ts'
import type { Change } from '../change.ts'
import type { Placed, ReadBundle } from './document.ts'
import { refIdentity } from './identity.ts'
import type { Plan, SectionPlan } from './plan.ts'
import { slices } from './slices.ts'

type Declared = ReadonlyMap<string, EntityType>

// To look for a property in a condition it is read again: 0.1 ms each.
const AT_ONCE = 50

/**
 * What is added or changed, held against the types that will be declared: entities that do not fit theirs, and rules
 * and roles that name what no type declares. What stays as it was is not looked at, as with single writes.
 */
export async function heldAgainstTypes(change: Change, bundle: ReadBundle, plan: Plan): Promise<Judgement> {
  const { rules = [], roles = [], entities = [], types } = bundle.sections
  // What is wrong with a type is told already, and nothing can be held against it.
  if (bundle.problems.some(({ pointer }) => pointer.startsWith('/types'))) return { problems: [], warnings: [] }
  const [newRules, newRoles, newEntities] = [
    touched(rules, plan.rules),
    touched(roles, plan.roles),
    touched(entities, plan.entities),
  ]
  const declared: Declared =
    types === undefined
      ? await declaredIn(change, namesOf(newRules, newRoles, newEntities))
      : new Map(types.map(({ document }) => [document.name, document]))
  if (declared.size === 0) return { problems: [], warnings: [] }
  const judged = await judgedEntities(declared, newEntities)
  const warnings = [
    ...judged.warnings,
    ...(await warnedRoles(declared, newRoles)),
    ...(await warnedRules(change, bundle, declared, newRules)),
  ]
  return { problems: judged.problems, warnings }
}

/** The documents of a section that the plan adds or changes, with their places. */
function touched<T extends object>(
  placed: readonly Placed<T>[],
  plan: Pick<SectionPlan<T>, 'added' | 'changed'> | undefined,
): Placed<T>[] {
  const documents = new Set([...(plan?.added ?? []), ...(plan?.changed ?? []).map(({ after }) => after)])
  return placed.filter(({ document }) => documents.has(document))
}

type Of<S extends 'rules' | 'roles' | 'entities'> = NonNullable<ReadBundle['sections'][S]>

function* namesOf(rules: Of<'rules'>, roles: Of<'roles'>, entities: Of<'entities'>): Iterable<string> {
  for (const { document } of rules) yield* typesNamed(document)
  for (const { document } of roles) for (const permission of document.permissions ?? []) yield* typesNamed(permission)
  for (const { document } of entities) yield document.type
}

async function declaredIn({ trx, tenant }: Change, names: Iterable<string>): Promise<Declared> {
  const all = new Map<string, EntityType>()
  for await (const slice of slices(new Set(names))) {
    for (const [name, type] of await declaredTypes(trx, tenant, slice)) all.set(name, type)
  }
  return all
}

async function judgedEntities(declared: Declared, entities: Of<'entities'>): Promise<Judgement> {
  const judge = judgeStored(declared)
  const problems: Problem[] = []
  const warnings: Problem[] = []
  for await (const slice of slices(entities)) {
    for (const { place, document } of slice) {
      const found = judge(document)
      problems.push(...under(`/entities/${place}`, found.problems))
      warnings.push(...under(`/entities/${place}`, found.warnings))
    }
  }
  return { problems, warnings }
}

async function warnedRoles(declared: Declared, roles: Of<'roles'>): Promise<Problem[]> {
  const warnings: Problem[] = []
  for await (const slice of slices(roles, AT_ONCE)) {
    for (const { place, document } of slice) {
      warnings.push(...under(`/roles/${place}`, undeclaredInRole(document, declared)))
    }
  }
  return warnings
}

async function warnedRules(
  { trx, tenant }: Change,
  { sections }: ReadBundle,
  declared: Declared,
  rules: Of<'rules'>,
): Promise<Problem[]> {
  const warnings: Problem[] = []
  const groups = rules.length === 0 ? new Set<string>() : await parentsIn(sections.entities ?? [])
  for await (const slice of slices(rules, AT_ONCE)) {
    const named = slice.flatMap(({ document }) => document.subjects.flatMap((one) => ('id' in one ? [one] : [])))
    for (const group of await withMembers(trx, tenant, named)) groups.add(refIdentity(group))
    const isAlone = (type: string, id: string) => !groups.has(refIdentity({ type, id }))
    for (const { place, document } of slice) {
      warnings.push(...under(`/rules/${place}`, undeclaredInRule(document, declared, isAlone)))
    }
  }
  return warnings
}

async function parentsIn(entities: Of<'entities'>): Promise<Set<string>> {
  const parents = new Set<string>()
  for await (const slice of slices(entities)) {
    for (const parent of slice.flatMap(({ document }) => document.parents)) parents.add(refIdentity(parent))
  }
  return parents
}
