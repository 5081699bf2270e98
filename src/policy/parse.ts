import type { Problem } from '../failure.ts'
import { compileCondition, isFault } from './condition.ts'
import { parseInstant } from './instant.ts'
import { judgeEntities, under } from './judgement.ts'
import {
  AccessRequest,
  type Assignment,
  Bundle,
  type Entity,
  type EntityRef,
  type EntityType,
  type Permission,
  type Policy,
  type ResourceSelector,
  type Role,
  type Rule,
  type Settings,
  type SubjectSelector,
} from './model.ts'
import { idPatternFault } from './pattern.ts'
import { checkSchema } from './property-schema.ts'
import { checkRedaction } from './redaction-path.ts'
import { schemaCheck } from './validate.ts'

/**
 * What is wrong with a document of policy beyond what its schema says, each with a pointer into it. What it names (other
 * roles, policies) is not looked up here.
 */

const checkBundleSchema = schemaCheck(Bundle)
const checkRequestSchema = schemaCheck(AccessRequest)

/** Everything that is wrong at once: by the schema, or else with each thing by itself. */
export function parseBundle(document: unknown): { bundle: Bundle } | { problems: Problem[] } {
  const malformed = checkBundleSchema(document)
  if (malformed.length > 0) return { problems: malformed }
  // The schema has just been checked.
  const bundle = document as Bundle
  const faults = [
    ...under('/settings', checkSettings(bundle.settings ?? {})),
    ...inSection('types', bundle.types, checkType),
    ...inSection('policies', bundle.policies, checkPolicy),
    ...inSection('roles', bundle.roles, checkRole),
    ...inSection('rules', bundle.rules, checkRule),
    ...inSection('entities', bundle.entities, checkEntity),
    ...inSection('assignments', bundle.assignments, checkAssignment),
  ]
  const problems = faults.length > 0 ? faults : [...judgeEntities(bundle).problems]
  return problems.length > 0 ? { problems } : { bundle }
}

export function parseRequest(document: unknown): { request: AccessRequest } | { problems: Problem[] } {
  const problems = checkRequestSchema(document)
  return problems.length > 0 ? { problems } : { request: document as AccessRequest }
}

export function checkRule(rule: Rule): Problem[] {
  return [
    ...notOurs('/name', rule.name),
    ...checkRulePolicy(rule.policy),
    ...each('/subjects', rule.subjects, checkSubject),
    ...checkPermission(rule),
    ...checkValidity(rule),
  ]
}

export function checkRole(role: Role): Problem[] {
  const { inherits = [], permissions = [], derived } = role
  return [
    ...notOurs('/name', role.name),
    ...each('/inherits', inherits, (name) => notOurs('', name)),
    ...each('/permissions', permissions, checkPermission),
    ...each('/derived/from', derived?.from ?? [], (name) => notOurs('', name)),
    ...checkCondition('/derived/condition', derived?.condition),
  ]
}

export function checkPolicy(policy: Policy): Problem[] {
  const { resource_types = [], actions = [] } = policy.target ?? {}
  return [
    ...(policy.name === 'pdp'
      ? [{ pointer: '/name', detail: 'the policy pdp is built in and cannot be changed' }]
      : []),
    ...notOurs('/name', policy.name),
    ...each('/target/resource_types', resource_types, (type) => notOurs('', type)),
    ...each('/target/actions', actions, (action) => notOurs('', action)),
  ]
}

export function checkType({ name, actions = [], schema }: EntityType): Problem[] {
  return [
    ...notOurs('/name', name),
    ...(name === '*' ? [{ pointer: '/name', detail: '"*" stands for every type' }] : []),
    ...each('/actions', actions, (action) => notOurs('', action)),
    ...(schema === undefined ? [] : under('/schema', checkSchema(schema))),
  ]
}

export function checkSettings({ redaction }: Settings): Problem[] {
  return redaction === undefined ? [] : checkRedaction(redaction)
}

export function checkEntity(entity: Entity): Problem[] {
  return [...checkRef('', entity), ...each('/parents', entity.parents ?? [], (parent) => checkRef('', parent))]
}

/** An assignment may give a built-in role, but only of everything. */
export function checkAssignment(assignment: Assignment): Problem[] {
  const { role, subject, within } = assignment
  return [
    ...checkRef('/subject', subject),
    ...(within === undefined ? [] : checkRef('/within', within)),
    ...(within !== undefined && isOurs(role)
      ? [{ pointer: '/within', detail: 'a built-in role is never limited to a resource' }]
      : []),
    ...checkValidity(assignment),
  ]
}

function checkRulePolicy(policy: string | undefined): Problem[] {
  if (policy === undefined) return []
  if (policy !== 'roles' && policy !== 'capabilities' && policy !== 'pdp') return notOurs('/policy', policy)
  return [{ pointer: '/policy', detail: `no rule can be put into the policy ${policy}` }]
}

function checkSubject(selector: SubjectSelector): Problem[] {
  if ('role' in selector) return notOurs('/role', selector.role)
  return 'any' in selector ? [] : checkRef('', selector)
}

/** The same of capabilities: what may be done to what. */
export function checkCapabilities(capabilities: readonly Permission[]): Problem[] {
  return each('', capabilities, checkPermission)
}

function checkPermission({ actions, resources, condition }: Permission): Problem[] {
  return [
    ...each('/actions', actions, (action) => notOurs('', action)),
    ...each('/resources', resources, checkResource),
    ...checkCondition('/condition', condition),
  ]
}

function checkResource({ type, id, within }: ResourceSelector): Problem[] {
  const fault = id === undefined ? null : idPatternFault(id)
  return [
    ...notOurs('/type', type),
    ...(fault === null ? [] : [{ pointer: '/id', detail: fault }]),
    ...(within === undefined ? [] : checkRef('/within', within)),
  ]
}

/** In bytes of UTF-8, so that a type and an id fit into one key of an index (2,704 bytes in Postgres). */
const MAX_REF_BYTES = 2048

/** A reference to an entity, stored or not. */
export function checkRef(pointer: string, { type, id }: EntityRef): Problem[] {
  // A character takes 3 bytes at most for each of its UTF-16 units.
  const fits = (type.length + id.length) * 3 <= MAX_REF_BYTES || Buffer.byteLength(type + id) <= MAX_REF_BYTES
  const tooLong = { pointer: `${pointer}/id`, detail: `type and id take more than ${MAX_REF_BYTES} bytes together` }
  return [...notOurs(`${pointer}/type`, type), ...(fits ? [] : [tooLong])]
}

function checkCondition(pointer: string, text: string | null | undefined): Problem[] {
  if (text === undefined || text === null) return []
  const compiled = compileCondition(text)
  if (!isFault(compiled)) return []
  return [{ pointer, detail: `line ${compiled.line}, column ${compiled.column}: ${compiled.detail}` }]
}

interface Validity {
  readonly valid_from?: string | null
  readonly valid_until?: string | null
}

function checkValidity({ valid_from, valid_until }: Validity): Problem[] {
  const problems = [...checkInstant('/valid_from', valid_from), ...checkInstant('/valid_until', valid_until)]
  if (typeof valid_from !== 'string' || typeof valid_until !== 'string' || problems.length > 0) return problems
  if (Date.parse(valid_from) < Date.parse(valid_until)) return []
  return [{ pointer: '/valid_until', detail: 'must be later than valid_from' }]
}

function checkInstant(pointer: string, text: string | null | undefined): Problem[] {
  if (typeof text !== 'string' || !Number.isNaN(parseInstant(text))) return []
  return [{ pointer, detail: 'is no instant in the years 0001 to 9999 (UTC)' }]
}

/** Names that begin with `pdp:` are Verdict's own. */
function notOurs(pointer: string, name: string): Problem[] {
  return isOurs(name) ? [{ pointer, detail: 'names that begin with "pdp:" are built in' }] : []
}

function isOurs(name: string): boolean {
  return name.startsWith('pdp:')
}

function each<T>(pointer: string, items: readonly T[], check: (item: T) => Problem[]): Problem[] {
  return items.flatMap((item, place) =>
    check(item).map((problem) => ({ pointer: `${pointer}/${place}${problem.pointer}`, detail: problem.detail })),
  )
}

function inSection<T>(name: string, items: readonly T[] | undefined, check: (item: T) => Problem[]): Problem[] {
  return each(`/${name}`, items ?? [], check)
}
