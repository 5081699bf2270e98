import type { Problem } from '../failure.ts'
import { isObject } from './json.ts'
import type { EntityType, Permission, Properties, Role, Rule } from './model.ts'
import { actionPattern, matches } from './pattern.ts'
import { type PropertyRead, propertyReads } from './property-reads.ts'

/** Of a rule what it is held against the declared types by. */
export type RuleLike = Permission & Pick<Rule, 'subjects'>

/** Declared types by their names. */
export type Declared = ReadonlyMap<string, EntityType>

/**
 * What a rule names that the types it is about do not declare. It says something only where every type that the rule
 * can be about is declared, and says all of its actions (or properties): a rule about a folder and a document may name
 * what only one of them has. A subject counts by its type where nothing is in it (`isAlone`): a group's members are of
 * types that the rule does not name.
 */
export function undeclaredInRule(
  rule: RuleLike,
  declared: Declared,
  isAlone: (type: string, id: string) => boolean,
): Problem[] {
  const { subjects } = rule
  const types = subjects.map((subject) => ('id' in subject && isAlone(subject.type, subject.id) ? subject.type : '*'))
  return undeclared(rule, declared, types)
}

/** The same of a role's permissions. Who holds a role may be of any type. */
export function undeclaredInRole(role: Role, declared: Declared): Problem[] {
  return (role.permissions ?? []).flatMap((permission, place) =>
    undeclared(permission, declared, ['*']).map(({ pointer, detail }) => ({
      pointer: `/permissions/${place}${pointer}`,
      detail,
    })),
  )
}

/** The types that a rule names, whose declarations are what it is held against. */
export function typesNamed({
  subjects,
  resources,
}: Pick<Rule, 'resources'> & Partial<Pick<Rule, 'subjects'>>): string[] {
  return [...resources.map(({ type }) => type), ...(subjects ?? []).flatMap((one) => ('id' in one ? [one.type] : []))]
}

function undeclared({ actions, resources, condition }: Permission, declared: Declared, subjects: string[]): Problem[] {
  const types = resources.map(({ type }) => type)
  const reads = typeof condition === 'string' ? propertyReads(condition) : []
  return [
    ...starredTypes(types),
    ...undeclaredActions(actions, all(types, declared)),
    ...undeclaredProperties(reads, 'resource', all(types, declared)),
    ...undeclaredProperties(reads, 'subject', all(subjects, declared)),
  ]
}

/** A type is named, or "*": one that looks like a pattern is about nothing that its writer has in mind. */
function starredTypes(types: readonly string[]): Problem[] {
  return types.flatMap((type, place) =>
    type === '*' || !type.includes('*')
      ? []
      : [{ pointer: `/resources/${place}/type`, detail: `is no pattern: it is the type of this very name, ${type}` }],
  )
}

/** The declarations of the types; none where one of them is not declared, or is every type. */
function all(names: readonly string[], declared: Declared): EntityType[] {
  const types = [...new Set(names)].map((name) => declared.get(name))
  return types.every((type) => type !== undefined) ? types : []
}

function undeclaredActions(actions: readonly string[], types: readonly EntityType[]): Problem[] {
  if (types.length === 0 || types.some((type) => type.actions === undefined)) return []
  return actions.flatMap((action, place) => {
    const pattern = actionPattern(action)
    // It names none.
    if (action === '*') return []
    if (types.some((type) => type.actions?.some((one) => matches(pattern, one)) === true)) return []
    return [{ pointer: `/actions/${place}`, detail: `${told(types)} no action ${JSON.stringify(action)}` }]
  })
}

function undeclaredProperties(
  reads: readonly PropertyRead[],
  of: PropertyRead['of'],
  types: readonly EntityType[],
): Problem[] {
  if (types.length === 0) return []
  const declaring = types.map(({ schema }) => declaredBy(schema))
  return reads
    .filter((read) => read.of === of && declaring.every((declares) => !declares(read.name)))
    .map(({ name, line, column }) => ({
      pointer: '/condition',
      detail: `line ${line}, column ${column}: ${told(types)} no property ${JSON.stringify(name)}`,
    }))
}

/** Schemas beside it that say more about the same properties. */
const SAYS_MORE = [
  '$ref',
  'allOf',
  'anyOf',
  'oneOf',
  'if',
  'then',
  'else',
  'not',
  'dependentSchemas',
  'patternProperties',
]

/**
 * Which properties a schema declares: those under `properties`, where it says what they all are. It does not where it
 * allows others by `additionalProperties` or `unevaluatedProperties`, or where other schemas or patterns say more.
 */
function declaredBy(schema: Properties | undefined): (name: string) => boolean {
  const properties = schema?.['properties']
  if (schema === undefined || !isObject(properties)) return () => true
  const others = [schema['additionalProperties'], schema['unevaluatedProperties']]
  if (others.some((other) => other !== undefined && other !== false)) return () => true
  if (SAYS_MORE.some((keyword) => schema[keyword] !== undefined)) return () => true
  return (name) => Object.hasOwn(properties, name)
}

function told(types: readonly EntityType[]): string {
  const names = types.map(({ name }) => name).join(', ')
  return types.length === 1 ? `the type ${names} declares` : `none of the types ${names} declares`
}
