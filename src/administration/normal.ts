import { isDeepStrictEqual } from 'node:util'
import type { Assignment, Entity, EntityType, Permission, Policy, Role, Rule, Settings } from '../policy/model.ts'
import { isReadable, soundSettings } from '../policy/soundness.ts'

/**
 * Documents in their one normal form: every member with its default filled in. It is what is stored, logged,
 * compared (a write that changes nothing makes no revision) and answered with. What is stored and has not the shape of
 * a document (a hand was at it) stays as it is.
 */

export function normalSettings(settings: Settings): Required<Settings> {
  return soundSettings(settings).document
}

export function normalType(type: EntityType): EntityType {
  if (!isReadable('type', type)) return type
  return asStored({
    ...type,
    on_invalid: type.on_invalid ?? 'reject',
    protected_properties: type.protected_properties ?? [],
    stored: type.stored ?? 'maybe',
    description: type.description ?? '',
  })
}

export function normalPolicy(policy: Policy): Policy {
  if (!isReadable('policy', policy)) return policy
  const { name, combining = 'deny_overrides', required = false, target, description = '' } = policy
  return { name, combining, required, ...(target === undefined ? {} : { target }), description }
}

export function normalRole(role: Role): Role {
  if (!isReadable('role', role)) return role
  const { name, description = '', inherits = [], permissions = [], derived } = role
  const normal = { name, description, inherits, permissions: permissions.map(normalPermission) }
  return asStored(derived === undefined ? normal : { ...normal, derived })
}

export function normalRule(rule: Rule): Rule {
  if (!isReadable('rule', rule)) return rule
  return asStored({
    name: rule.name,
    policy: policyOf(rule),
    effect: rule.effect,
    subjects: rule.subjects,
    actions: rule.actions,
    resources: rule.resources,
    condition: rule.condition ?? null,
    obligations: rule.obligations ?? [],
    priority: rule.priority ?? 0,
    valid_from: rule.valid_from ?? null,
    valid_until: rule.valid_until ?? null,
    enabled: rule.enabled ?? true,
    description: rule.description ?? '',
  })
}

export function policyOf(rule: Rule): string {
  return rule.policy ?? 'default'
}

export function normalEntity(entity: Entity): Required<Entity> {
  const { type, id, properties = {}, parents = [], disabled = false } = entity
  return asStored({ type, id, properties, parents, disabled })
}

/** Without its id and its giver, which are not a document's to say. */
export function normalAssignment({ subject, role, within, valid_from, valid_until, reason }: Assignment): Assignment {
  const scope = within === undefined ? {} : { within }
  return { subject, role, ...scope, valid_from: utc(valid_from), valid_until: utc(valid_until), reason: reason ?? null }
}

export function utc(instant: string | null | undefined): string | null {
  return instant === null || instant === undefined ? null : new Date(instant).toISOString()
}

export function same(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(one, other)
}

function normalPermission({ actions, resources, condition, obligations }: Permission): Permission {
  return { actions, resources, condition: condition ?? null, obligations: obligations ?? [] }
}

// JSON knows neither -0 nor undefined: what comes back from the store would differ from what went in.
function asStored<T>(document: T): T {
  return JSON.parse(JSON.stringify(document))
}
