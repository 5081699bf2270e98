import type { TSchema } from 'typebox'
import type { Problem } from '../../failure.ts'
import { isBuiltIn } from '../../policy/built-in.ts'
import { escaped, isObject } from '../../policy/json.ts'
import { Assignment, Entity, EntityType, Policy, Role, Rule, Settings } from '../../policy/model.ts'
import {
  checkAssignment,
  checkEntity,
  checkPolicy,
  checkRole,
  checkRule,
  checkSettings,
  checkType,
} from '../../policy/parse.ts'
import { schemaCheck } from '../../policy/validate.ts'
import {
  normalAssignment,
  normalEntity,
  normalPolicy,
  normalRole,
  normalRule,
  normalSettings,
  normalType,
} from '../normal.ts'
import { parentCycles, repeatedParents } from '../parents.ts'
import { edgesOf, roleCycles } from '../roles.ts'
import { type Documents, type Placed, type ReadBundle, SECTIONS, type Section, SHOWN_PROBLEMS } from './document.ts'
import { identityOf } from './identity.ts'

/**
 * What one thing in a bundle may take, in characters of JSON: a single write takes 256 KiB, and a statement that
 * carries some of these stays within its time.
 */
export const ITEM_LIMIT = 1024 * 1024

interface Reader<T> {
  schema(value: unknown): Problem[]
  normal(value: T): T
  /** What is wrong with it beyond its schema, by itself. */
  check(document: T): Problem[]
}

/** Reads a bundle in one go. It takes a millisecond for a hundred rules: a big one is read off the event loop. */
export function readBundle(value: unknown): ReadBundle {
  const found = new Found()
  if (!isObject(value)) {
    found.add('', [{ pointer: '', detail: 'a bundle is an object with the member "verdict"' }])
    return { settings: null, sections: {}, malformed: { roles: [], policies: [] }, ...found.told() }
  }
  found.add('', checkMembers(value))
  const malformed = { roles: [] as string[], policies: [] as string[] }
  const sections: Partial<Record<Section, readonly Placed<Documents[Section]>[]>> = {}
  for (const section of SECTIONS) {
    if (value[section] === undefined) continue
    const { documents, bad } = readSection(section, value[section], found)
    sections[section] = documents
    if (section === 'roles' || section === 'policies') malformed[section].push(...bad.flatMap(nameOf))
  }
  const bundle = { settings: readSettings(value, found), sections: sections as ReadBundle['sections'], malformed }
  addCycles(bundle, found)
  return { ...bundle, ...found.told() }
}

const MEMBERS: ReadonlySet<string> = new Set(['verdict', 'settings', ...SECTIONS])

function checkMembers(bundle: Readonly<Record<string, unknown>>): Problem[] {
  const unknown = Object.keys(bundle).filter((member) => !MEMBERS.has(member))
  return [
    ...(bundle['verdict'] === 1 ? [] : [{ pointer: '/verdict', detail: 'must be 1, the version of the format' }]),
    ...unknown.map((member) => ({ pointer: `/${escaped(member)}`, detail: 'is not a member that is known here' })),
  ]
}

function readSettings({ settings }: Readonly<Record<string, unknown>>, found: Found): Required<Settings> | null {
  if (settings === undefined) return null
  const malformed = checkShape(settings)
  // Its schema has just been checked.
  const problems = malformed.length > 0 ? malformed : checkSettings(settings as Settings)
  found.add('/settings', problems)
  return problems.length > 0 ? null : normalSettings(settings as Settings)
}

const checkShape = schemaCheck(Settings)

function readSection<S extends Section>(
  section: S,
  value: unknown,
  found: Found,
): { documents: Placed<Documents[S]>[]; bad: unknown[] } {
  if (!Array.isArray(value)) {
    found.add(`/${section}`, [{ pointer: '', detail: 'must be a list' }])
    return { documents: [], bad: [] }
  }
  const documents: Placed<Documents[S]>[] = []
  const bad: unknown[] = []
  const places = new Map<string, number>()
  for (const [place, item] of value.entries()) {
    const pointer = `/${section}/${place}`
    const document = readItem<Documents[S]>(READERS[section], item, pointer, found)
    if (document === undefined) {
      bad.push(item)
      continue
    }
    const identity = identityOf[section](document)
    const first = places.get(identity)
    if (first === undefined) places.set(identity, place)
    else found.add(pointer, [{ pointer: '', detail: `it stands at /${section}/${first} already` }])
    documents.push({ place, document })
  }
  return { documents, bad }
}

/** Undefined where it has not the shape that it should have; what is wrong with it beyond that hides nothing else. */
function readItem<T>(reader: Reader<T>, item: unknown, pointer: string, found: Found): T | undefined {
  const faults = reader.schema(item)
  found.add(pointer, faults)
  if (faults.length > 0) return undefined
  const size = JSON.stringify(item).length
  if (size > ITEM_LIMIT) {
    found.add(pointer, [{ pointer: '', detail: `takes ${size} characters as JSON; the limit is ${ITEM_LIMIT}` }])
    return undefined
  }
  // The schema has just been checked.
  const given = item as T
  const problems = reader.check(given)
  found.add(pointer, problems)
  // An instant that is none has no normal form.
  return problems.length > 0 ? given : reader.normal(given)
}

const READERS: { readonly [S in Section]: Reader<Documents[S]> } = {
  types: reader(EntityType, normalType, checkType),
  policies: reader(Policy, normalPolicy, checkPolicy),
  roles: reader(Role, normalRole, checkRole),
  rules: reader(Rule, normalRule, checkRule),
  entities: reader(Entity, normalEntity, (entity) => [...checkEntity(entity), ...repeatedParents(entity)]),
  assignments: reader(Assignment, normalAssignment, (assignment) => [
    ...checkAssignment(assignment),
    ...(isBuiltIn(assignment.role) ? [{ pointer: '/role', detail: 'built-in roles lie outside bundles' }] : []),
  ]),
}

function reader<T>(schema: TSchema, normal: (value: T) => T, check: (value: T) => Problem[]): Reader<T> {
  return { schema: schemaCheck(schema), normal, check }
}

/** Cycles within the bundle; those by way of what the tenant has besides are found when it is applied. */
function addCycles({ sections }: Pick<ReadBundle, 'sections'>, found: Found): void {
  const roles = (sections.roles ?? []).map(({ place, document: role }) => ({ pointer: `/roles/${place}`, role }))
  const edges = roles.flatMap(({ role }) => edgesOf(role))
  found.add('', roleCycles(roles, edges))
  const entities = (sections.entities ?? []).map(({ place, document }) => ({
    pointer: `/entities/${place}`,
    entity: normalEntity(document),
  }))
  found.add('', parentCycles(entities, []))
}

/** Keeps the first problems, and counts the rest. */
class Found {
  readonly #problems: Problem[] = []
  #more = 0

  add(at: string, problems: readonly Problem[]): void {
    for (const { pointer, detail } of problems) {
      if (this.#problems.length === SHOWN_PROBLEMS) this.#more++
      else this.#problems.push({ pointer: at + pointer, detail })
    }
  }

  told(): { problems: readonly Problem[]; more: number } {
    return { problems: this.#problems, more: this.#more }
  }
}

function nameOf(item: unknown): string[] {
  return isObject(item) && typeof item['name'] === 'string' ? [item['name']] : []
}
