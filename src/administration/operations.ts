import type { Kysely } from 'kysely'
import type { Problem } from '../failure.ts'
import { under } from '../policy/judgement.ts'
import type { EntityType, OperationSettings, Role, Rule, Settings } from '../policy/model.ts'
import type { Normalization } from '../policy/normal-form.ts'
import { abnormalPatterns, normalTypes, undeclaredInOperations } from '../policy/operation.ts'
import type { Declared } from '../policy/undeclared.ts'
import type { Database } from '../store/schema.ts'
import { getSettings } from '../store/settings.ts'
import { declaredTypes, type IdPattern, idPatternsOf, type PatternTable } from '../store/types.ts'
import type { ReadBundle } from './bundle/document.ts'
import { slices } from './bundle/slices.ts'
import type { Change } from './change.ts'
import { normalSettings } from './normal.ts'

/**
 * The setting `operations` names types and actions, and says how ids of a type are written: whatever is written of the
 * three, they fit each other afterwards.
 */

/** The operations that a tenant maps now. */
export async function standingOperations(db: Kysely<Database>, tenant: string): Promise<OperationSettings> {
  return normalSettings((await getSettings(db, tenant))?.document ?? {}).operations
}

/** What in new settings does not fit the types, the rules and the roles that are there. */
export async function operationsInSettings(
  { trx, tenant }: Change,
  before: Required<Settings>,
  { operations }: Required<Settings>,
): Promise<Problem[]> {
  const declared = await declaredTypes(trx, tenant, typesOf(operations))
  return [
    ...undeclaredInOperations(operations, declared).map(({ kind, detail }) => at(kind, 'action', detail)),
    ...(await standingPatterns(
      operations,
      newlyNormal(before.operations, operations),
      (table, type) => idPatternsOf(trx, tenant, table, type),
      ['rules', 'roles', 'quotas'],
    )),
  ]
}

/** Of a rule, a quota or a capability: the ids of its resources that no target could have. */
export async function abnormalResources(
  { trx, tenant }: Change,
  { resources }: Pick<Rule, 'resources'>,
): Promise<Problem[]> {
  const types = normalTypes(await standingOperations(trx, tenant))
  return abnormalPatterns(types, resources)
}

export async function abnormalRole({ trx, tenant }: Change, role: Role): Promise<Problem[]> {
  return patternsOfRole(normalTypes(await standingOperations(trx, tenant)), role)
}

/** Actions that a type would no longer declare, though operations are mapped to them. */
export async function mappedToType({ trx, tenant }: Change, type: EntityType): Promise<Problem[]> {
  const unknown = undeclaredInOperations(await standingOperations(trx, tenant), new Map([[type.name, type]]))
  return unknown.map(({ kind }) => ({ pointer: '/actions', detail: missing(kind) }))
}

/** Who uses a type: the operations that are mapped to it. */
export async function operationsOn({ trx, tenant }: Change, type: string): Promise<string[]> {
  const operations = await standingOperations(trx, tenant)
  return Object.keys(operations).flatMap((kind) =>
    operations[kind]?.resource_type === type ? [`operation ${kind} (setting)`] : [],
  )
}

/** What stands in a tenant beside a bundle. */
export interface StandingOperations {
  operations(): Promise<OperationSettings>
  types(names: string[]): Promise<Declared>
  patterns(table: PatternTable, type: string): AsyncIterable<readonly IdPattern[]>
}

/** The same of a bundle: of what it leaves alone, what stands counts. */
export async function operationsInBundle(
  standing: StandingOperations,
  { settings, sections }: ReadBundle,
): Promise<Problem[]> {
  const { types, rules, roles } = sections
  if (settings === null && types === undefined && rules === undefined && roles === undefined) return []
  const before = await standing.operations()
  const operations = settings?.operations ?? before
  if (Object.keys(operations).length === 0) return []
  const normal = normalTypes(operations)
  return [
    ...(await undeclaredInBundle(standing, { settings, types }, operations)),
    ...(await abnormalRules(normal, rules ?? [])),
    ...(await abnormalRoles(normal, roles ?? [])),
    ...under(
      '/settings',
      await standingPatterns(operations, newlyNormal(before, operations), standing.patterns, [
        ...(rules === undefined ? (['rules'] as const) : []),
        ...(roles === undefined ? (['roles'] as const) : []),
        // No bundle has quotas.
        'quotas',
      ]),
    ),
  ]
}

async function undeclaredInBundle(
  standing: StandingOperations,
  { settings, types }: { settings: ReadBundle['settings']; types: ReadBundle['sections']['types'] },
  operations: OperationSettings,
): Promise<Problem[]> {
  const declared = types && new Map(types.map(({ document }) => [document.name, document]))
  const unknown = undeclaredInOperations(operations, declared ?? (await standing.types(typesOf(operations))))
  if (settings !== null)
    return under(
      '/settings',
      unknown.map(({ kind, detail }) => at(kind, 'action', detail)),
    )
  return unknown.flatMap(({ kind, type }) => {
    const place = types?.find(({ document }) => document.name === type)?.place
    return place === undefined ? [] : [{ pointer: `/types/${place}/actions`, detail: missing(kind) }]
  })
}

async function abnormalRules(
  types: ReadonlyMap<string, Normalization>,
  rules: NonNullable<ReadBundle['sections']['rules']>,
): Promise<Problem[]> {
  const problems: Problem[] = []
  if (types.size === 0) return problems
  for await (const slice of slices(rules)) {
    for (const { place, document } of slice) {
      problems.push(...under(`/rules/${place}`, abnormalPatterns(types, document.resources)))
    }
  }
  return problems
}

async function abnormalRoles(
  types: ReadonlyMap<string, Normalization>,
  roles: NonNullable<ReadBundle['sections']['roles']>,
): Promise<Problem[]> {
  const problems: Problem[] = []
  if (types.size === 0) return problems
  for await (const slice of slices(roles)) {
    for (const { place, document } of slice) problems.push(...under(`/roles/${place}`, patternsOfRole(types, document)))
  }
  return problems
}

function patternsOfRole(types: ReadonlyMap<string, Normalization>, { permissions = [] }: Role): Problem[] {
  return permissions.flatMap(({ resources }, place) =>
    under(`/permissions/${place}`, abnormalPatterns(types, resources)),
  )
}

/** Types whose ids are written in a form now that was not asked of the patterns that stand. */
function newlyNormal(before: OperationSettings, after: OperationSettings): ReadonlyMap<string, Normalization> {
  const known = normalTypes(before)
  return new Map([...normalTypes(after)].filter(([type, form]) => known.get(type) !== form))
}

/** At most this many are told: of a million rules nobody reads more. */
const TOLD = 20

/** Patterns that stand and could match no target of the types. */
async function standingPatterns(
  operations: OperationSettings,
  types: ReadonlyMap<string, Normalization>,
  patterns: StandingOperations['patterns'],
  tables: readonly PatternTable[],
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const type of types.keys()) {
    const kind = Object.keys(operations).find((each) => operations[each]?.resource_type === type) ?? ''
    for (const table of tables) {
      for await (const page of patterns(table, type)) {
        for (const { name, id } of page) {
          const owner = `${table.slice(0, -1)} ${name}`
          for (const { detail } of abnormalPatterns(types, [{ type, id }])) {
            problems.push(at(kind, 'normalize', `${owner}: the pattern ${JSON.stringify(id)} ${detail}`))
            if (problems.length === TOLD) return problems
          }
        }
      }
    }
  }
  return problems
}

function typesOf(operations: OperationSettings): string[] {
  return [...new Set(Object.values(operations).map(({ resource_type }) => resource_type))]
}

function at(kind: string, member: string, detail: string): Problem {
  return { pointer: `/operations/${kind}/${member}`, detail }
}

function missing(kind: string): string {
  return `the operation ${kind} is mapped to an action that it leaves out (the setting operations)`
}
