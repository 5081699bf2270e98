import type { TProperties } from 'typebox'
import { Assignment, Entity, EntityType, Permission, Policy, Role, Rule } from '../../policy/model.ts'
import { same } from '../normal.ts'
import type { Documents, Section } from './document.ts'

/**
 * A document as a person would write it: the members in the order of their schema, those that have their defaults
 * left out. Its normal form is the one that it was made of.
 */
export function compact<S extends Section>(section: S, document: Documents[S]): object {
  const { members, defaults } = FORMS[section]
  const short = shortened(document, members, defaults)
  const { permissions } = short
  if (section !== 'roles' || !Array.isArray(permissions)) return short
  const shown = permissions.map((permission: unknown) =>
    typeof permission === 'object' && permission !== null
      ? shortened(permission, membersOf(Permission.properties), PERMISSION_DEFAULTS)
      : permission,
  )
  return { ...short, permissions: shown }
}

interface Form {
  readonly members: readonly string[]
  readonly defaults: Readonly<Record<string, unknown>>
}

const PERMISSION_DEFAULTS = { condition: null, obligations: [] }

const FORMS: { readonly [S in Section]: Form } = {
  types: {
    members: membersOf(EntityType.properties),
    defaults: { on_invalid: 'reject', protected_properties: [], stored: 'maybe', description: '' },
  },
  policies: {
    members: membersOf(Policy.properties),
    defaults: { combining: 'deny_overrides', required: false, description: '' },
  },
  roles: { members: membersOf(Role.properties), defaults: { description: '', inherits: [], permissions: [] } },
  rules: {
    members: membersOf(Rule.properties),
    defaults: {
      policy: 'default',
      condition: null,
      obligations: [],
      priority: 0,
      valid_from: null,
      valid_until: null,
      enabled: true,
      description: '',
    },
  },
  entities: { members: membersOf(Entity.properties), defaults: { properties: {}, parents: [], disabled: false } },
  assignments: {
    members: membersOf(Assignment.properties),
    defaults: { valid_from: null, valid_until: null, reason: null },
  },
}

function membersOf(properties: TProperties): string[] {
  return Object.keys(properties)
}

function shortened(document: object, members: readonly string[], defaults: Form['defaults']): Record<string, unknown> {
  const all = new Map<string, unknown>(Object.entries(document))
  const told = members.filter((member) => all.has(member) && !same(all.get(member), defaults[member]))
  return Object.fromEntries(told.map((member) => [member, all.get(member)]))
}
