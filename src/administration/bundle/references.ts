import type { Problem } from '../../failure.ts'
import { isBuiltIn } from '../../policy/built-in.ts'
import type { EntityRef, EntityType } from '../../policy/model.ts'
import { VagueRules } from '../../policy/vague-rules.ts'
import { holdersAmong } from '../../store/bundle.ts'
import { edgesToAncestors, type ParentEdge } from '../../store/entities.ts'
import { policies } from '../../store/policies.ts'
import { roles } from '../../store/roles.ts'
import { declaredTypes, idPatternsOf } from '../../store/types.ts'
import type { Change } from '../change.ts'
import { normalEntity, policyOf } from '../normal.ts'
import { operationsInBundle, type StandingOperations, standingOperations } from '../operations.ts'
import { type Placed as PlacedEntity, parentCycles } from '../parents.ts'
import { type Naming, neverStored } from '../references.ts'
import { shownRef } from '../refusal.ts'
import { namedRoles } from '../roles.ts'
import { isBuiltInPolicy, rolesOfSubjects } from '../rules.ts'
import { vagueInBundle } from '../vague.ts'
import type { ReadBundle } from './document.ts'
import { refIdentity } from './identity.ts'
import type { Plan } from './plan.ts'
import { slices } from './slices.ts'

/** What stands in a tenant, of what is asked by name. */
interface Standing extends StandingOperations {
  roles(names: string[]): Promise<ReadonlySet<string>>
  policies(names: string[]): Promise<ReadonlySet<string>>
  types(names: string[]): Promise<ReadonlyMap<string, EntityType>>
  vague(): Promise<VagueRules>
}

const NOTHING: Standing = {
  roles: async () => new Set(),
  policies: async () => new Set(),
  types: async () => new Map(),
  operations: async () => ({}),
  patterns: async function* () {},
  vague: async () => new VagueRules(),
}

/** All that is wrong with a bundle for a tenant that has nothing else. No database is asked. */
export async function problemsAlone(bundle: ReadBundle): Promise<Problem[]> {
  return [...bundle.problems, ...(await namesProblems(NOTHING, bundle))]
}

/** What a bundle names that would not be there: in the bundle where it declares the section, else in the tenant. */
export async function referenceProblems(change: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  return [
    ...(await namesProblems(standingIn(change), bundle)),
    ...(await holdersNamed(change, bundle)),
    ...(await outerCycles(change, bundle, plan)),
  ]
}

function standingIn({ trx, tenant, vague }: Change): Standing {
  return {
    roles: (names) => roles.known(trx, tenant, names),
    policies: (names) => policies.known(trx, tenant, names),
    types: (names) => declaredTypes(trx, tenant, names),
    operations: () => standingOperations(trx, tenant),
    patterns: (table, type) => idPatternsOf(trx, tenant, table, type),
    vague,
  }
}

async function namesProblems(standing: Standing, bundle: ReadBundle): Promise<Problem[]> {
  return [
    ...(await unknownRoles(standing, bundle)),
    ...(await unknownPolicies(standing, bundle)),
    ...(await neverStoredTypes(standing, bundle)),
    ...(await vagueInBundle(standing.vague, bundle.sections)),
    ...(await operationsInBundle(standing, bundle)),
  ]
}

async function unknownRoles(standing: Standing, { sections, malformed }: ReadBundle): Promise<Problem[]> {
  const known = sections.roles && new Set([...sections.roles.map(({ document }) => document.name), ...malformed.roles])
  return unknown('role', namingsOfRoles(sections), known, standing.roles)
}

function* namingsOfRoles({ roles = [], rules = [], assignments = [] }: ReadBundle['sections']): Iterable<Naming> {
  for (const { place, document } of roles) yield* at(`/roles/${place}`, namedRoles(document))
  for (const { place, document } of rules) yield* at(`/rules/${place}`, rolesOfSubjects(document))
  for (const { place, document } of assignments) yield { pointer: `/assignments/${place}/role`, name: document.role }
}

async function unknownPolicies(standing: Standing, { sections, malformed }: ReadBundle): Promise<Problem[]> {
  const declared = sections.policies?.map(({ document }) => document.name)
  const known = declared && new Set([...declared, ...malformed.policies])
  return unknown('policy', namingsOfPolicies(sections), known, standing.policies)
}

function* namingsOfPolicies({ rules = [] }: ReadBundle['sections']): Iterable<Naming> {
  for (const { place, document } of rules) {
    const name = policyOf(document)
    if (!isBuiltInPolicy(name)) yield { pointer: `/rules/${place}/policy`, name }
  }
}

/** `known` is what the bundle declares; without it the tenant is asked. `pdp:` names are told elsewhere. */
async function unknown(
  noun: string,
  namings: Iterable<Naming>,
  known: ReadonlySet<string> | undefined,
  ask: (names: string[]) => Promise<ReadonlySet<string>>,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for await (const slice of slices(namings)) {
    const there = known ?? (await ask([...new Set(slice.map(({ name }) => name))]))
    for (const { pointer, name } of slice) {
      if (isBuiltIn(name) || there.has(name)) continue
      const where = known === undefined ? '' : ' in the bundle'
      problems.push({ pointer, detail: `there is no ${noun} ${name}${where}` })
    }
  }
  return problems
}

async function neverStoredTypes(standing: Standing, { sections }: ReadBundle): Promise<Problem[]> {
  const { types, entities = [], assignments = [] } = sections
  const known = types && new Map(types.map(({ document }) => [document.name, document]))
  const problems: Problem[] = []
  for await (const slice of slices(storedTypes(entities, assignments))) {
    const names = slice.map(({ name }) => name)
    const declared = known ?? (await standing.types(names))
    for (const { pointer, name } of slice) problems.push(...neverStored(declared, pointer, name))
  }
  return problems
}

function* storedTypes(
  entities: NonNullable<ReadBundle['sections']['entities']>,
  assignments: NonNullable<ReadBundle['sections']['assignments']>,
): Iterable<Naming> {
  for (const { place, document } of entities) yield { pointer: `/entities/${place}/type`, name: document.type }
  for (const { place, document } of assignments) {
    yield { pointer: `/assignments/${place}/subject/type`, name: document.subject.type }
  }
}

/** Who holds a built-in role is administered by other means, whoever applies the bundle. */
async function holdersNamed({ trx, tenant }: Change, { sections }: ReadBundle): Promise<Problem[]> {
  const problems: Problem[] = []
  for await (const slice of slices(subjects(sections))) {
    const refs = slice.map(({ ref }) => ref)
    const holders = new Set((await holdersAmong(trx, tenant, refs)).map(refIdentity))
    for (const { pointer, ref } of slice) {
      if (!holders.has(refIdentity(ref))) continue
      problems.push({ pointer, detail: `${shownRef(ref)} holds a built-in role: holders lie outside bundles` })
    }
  }
  return problems
}

function* subjects({ entities = [], assignments = [] }: ReadBundle['sections']): Iterable<{
  readonly pointer: string
  readonly ref: EntityRef
}> {
  for (const { place, document } of entities) yield { pointer: `/entities/${place}`, ref: document }
  for (const { place, document } of assignments) {
    yield { pointer: `/assignments/${place}/subject`, ref: document.subject }
  }
}

/**
 * Cycles by way of entities that are not in the bundle. Only what stands above those that lead back into the bundle
 * can lie on one, which is next to nothing of most bundles.
 */
async function outerCycles(change: Change, { sections }: ReadBundle, plan: Plan): Promise<Problem[]> {
  const own = new Map<string, PlacedEntity>()
  for await (const slice of slices(sections.entities ?? [])) {
    for (const { place, document } of slice) {
      // What has a problem of its own stands as it was given, and may lack its parents.
      own.set(refIdentity(document), { pointer: `/entities/${place}`, entity: normalEntity(document) })
    }
  }
  const gone = new Set((plan.entities?.removed ?? []).map(refIdentity))
  const standing = await edgesAbove(change, await outerParents(own), (child) => own.has(child) || gone.has(child))
  const back = standing.map(({ parent }) => parent).filter((parent) => own.has(refIdentity(parent)))
  return back.length === 0 ? [] : parentCycles(closure(own, back), standing)
}

async function outerParents(own: ReadonlyMap<string, PlacedEntity>): Promise<Iterable<EntityRef>> {
  const outer = new Map<string, EntityRef>()
  for await (const slice of slices(own.values())) {
    for (const parent of slice.flatMap(({ entity }) => entity.parents)) {
      const identity = refIdentity(parent)
      if (!own.has(identity)) outer.set(identity, parent)
    }
  }
  return outer.values()
}

async function edgesAbove(
  { trx, tenant }: Change,
  parents: Iterable<EntityRef>,
  isReplaced: (child: string) => boolean,
): Promise<ParentEdge[]> {
  const edges: ParentEdge[] = []
  for await (const slice of slices(parents)) {
    for (const edge of await edgesToAncestors(trx, tenant, slice)) {
      if (!isReplaced(refIdentity(edge.child))) edges.push(edge)
    }
  }
  return edges
}

function closure(own: ReadonlyMap<string, PlacedEntity>, start: readonly EntityRef[]): PlacedEntity[] {
  const reached = new Map<string, PlacedEntity>()
  const left = [...start]
  for (let ref = left.pop(); ref !== undefined; ref = left.pop()) {
    const identity = refIdentity(ref)
    const placed = own.get(identity)
    if (placed === undefined || reached.has(identity)) continue
    reached.set(identity, placed)
    for (const parent of placed.entity.parents) left.push(parent)
  }
  return [...reached.values()]
}

function* at(pointer: string, namings: readonly Naming[]): Iterable<Naming> {
  for (const naming of namings) yield { pointer: pointer + naming.pointer, name: naming.name }
}
