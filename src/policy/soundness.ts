import { CAPABILITIES, GivenCapability, ruleOf } from './capability.ts'
import { Issuer } from './issuer.ts'
import { maskFault } from './mask-obligation.ts'
import {
  DEFAULT_SETTINGS,
  EntityType,
  inForce,
  type Obligation,
  Permission,
  Policy,
  type ResourceSelector,
  Role,
  Rule,
  Settings,
  SHORTEST_SESSION_S,
  STRICTEST_REDACTION,
} from './model.ts'
import { idPatternFault } from './pattern.ts'
import { compileSchema } from './property-schema.ts'
import { Quota } from './quota.ts'
import { memberOf, type Reading, reader } from './reading.ts'

/**
 * What stands for documents that are not what the model says: another version wrote them, or a hand did. They are
 * quarantined, so that an error never becomes an allow: what can be read of them holds, and for what cannot stands
 * whatever allows least.
 */
export interface Sound<T> {
  /** What is decided by. */
  readonly document: T
  /** Why it is quarantined. */
  readonly fault: string | undefined
}

const ANY_SUBJECT: Rule['subjects'] = [{ any: true }]
const ANY_ACTION: Rule['actions'] = ['*']
const ANY_RESOURCE: Rule['resources'] = [{ type: '*' }]
const FIRST_OF_ALL = 1_000_000

/** Where rules stand whose policy cannot be read. No policy has this name: nothing overrides what such a rule denies. */
export const NO_POLICY = '?'

const rules = reader(Rule)
const permissions = reader(Permission)
const roles = reader(Role)
const policies = reader(Policy)
const types = reader(EntityType)
const settings = reader(Settings)
const issuers = reader(Issuer)
const capabilities = reader(GivenCapability)
const quotas = reader(Quota)

const READERS = {
  rule: rules,
  role: roles,
  policy: policies,
  type: types,
  settings: settings,
  capability: capabilities,
  issuer: issuers,
  quota: quotas,
}

export type ReadableKind = keyof typeof READERS

/** Whether it has the shape that the model says. What it says may be wrong all the same: a condition, say. */
export function isReadable(kind: ReadableKind, document: unknown): boolean {
  return READERS[kind].fault(document) === undefined
}

/** What cannot be read matches everything: as an allow it never applies, as a deny it does where the rest matches. */
export function soundRule(name: string, stored: Rule): Sound<Rule> {
  const fault = rules.fault(stored, name) ?? faultOfPlaces(stored.resources) ?? faultOfMasks(stored.obligations)
  if (fault === undefined) return { document: stored, fault }
  const { read } = rules.reading(stored, name)
  const document = {
    name,
    policy: read('policy', NO_POLICY) ?? 'default',
    effect: read('effect', 'deny') ?? 'deny',
    subjects: read('subjects', ANY_SUBJECT) ?? ANY_SUBJECT,
    ...soundParts(read, stored),
    priority: read('priority', FIRST_OF_ALL) ?? 0,
    valid_from: read('valid_from', null) ?? null,
    valid_until: read('valid_until', null) ?? null,
    enabled: read('enabled', true) ?? true,
  }
  return { document, fault }
}

export function soundPermission(stored: Permission): Sound<Permission> {
  const fault = permissions.fault(stored) ?? faultOfPlaces(stored.resources) ?? faultOfMasks(stored.obligations)
  if (fault === undefined) return { document: stored, fault }
  return { document: soundParts(permissions.reading(stored).read, stored), fault }
}

/** A capability is an allow: one that cannot be read never applies. It stands as a rule of the policy `capabilities`. */
export function soundCapability(id: string, stored: GivenCapability): Sound<Rule> {
  const fault = capabilities.fault(stored) ?? faultOfPlaces(stored.resources)
  if (fault === undefined && stored.id === id) return { document: ruleOf(stored), fault }
  const { read } = capabilities.reading(stored)
  const subject = read('subject', undefined)
  const document = {
    name: id,
    policy: CAPABILITIES,
    effect: 'allow',
    subjects: subject === undefined ? ANY_SUBJECT : [subject],
    actions: read('actions', ANY_ACTION) ?? ANY_ACTION,
    resources: ANY_RESOURCE,
  } as const
  return { document, fault: fault ?? '/id: is not the id that it is kept by' }
}

type ReadParts = Reading<Pick<(typeof Permission)['properties'], 'actions' | 'resources' | 'obligations'>>['read']

function soundParts(read: ReadParts, stored: unknown): Permission {
  const resources = read('resources', ANY_RESOURCE) ?? ANY_RESOURCE
  const condition = memberOf(stored, 'condition')
  return {
    actions: read('actions', ANY_ACTION) ?? ANY_ACTION,
    resources: faultOfPlaces(resources) === undefined ? resources : ANY_RESOURCE,
    condition: typeof condition === 'string' ? condition : null,
    obligations: read('obligations', []) ?? [],
  }
}

function faultOfPlaces(resources: readonly ResourceSelector[]): string | undefined {
  for (const [place, { id }] of resources.entries()) {
    const fault = id?.endsWith('\\') === true ? idPatternFault(id) : null
    if (fault !== null) return `/resources/${place}/id: ${fault}`
  }
  return undefined
}

/** What should be hidden, and nobody can tell how: as an allow, it never applies. */
function faultOfMasks(obligations: readonly Obligation[] | undefined): string | undefined {
  if (obligations === undefined) return undefined
  for (const [place, obligation] of obligations.entries()) {
    const fault = maskFault(obligation)
    if (fault !== undefined) return `/obligations/${place}/properties: ${fault}`
  }
  return undefined
}

/** What cannot be told of a role. */
export interface RoleDoubt {
  /** What it inherits: it may be any role. */
  readonly inherits: boolean
  /** Who has it: it may be anybody. */
  readonly holders: boolean
}

export interface SoundRole extends Sound<Role> {
  /** Undefined: who has it has it for certain. */
  readonly doubt: RoleDoubt | undefined
}

/**
 * A role of which something cannot be read is in doubt for whoever has it, with all that it inherits: it counts for
 * denies, and not for allows. A permission is an allow: one that cannot be read never applies, and says nothing more.
 */
export function soundRole(name: string, stored: Role): SoundRole {
  const fault = roles.fault(stored, name)
  if (fault === undefined) return { document: stored, fault, doubt: undefined }
  const { read, isFamiliar } = roles.reading(stored, name)
  const given = memberOf(stored, 'permissions')
  const inherits = read('inherits', 'unreadable') ?? []
  const derived = read('derived', 'unreadable') === 'unreadable' ? soundDerivation(stored, name) : stored.derived
  const isCertain = isFamiliar && inherits !== 'unreadable' && read('derived', 'unreadable') !== 'unreadable'
  const document = {
    name,
    inherits: inherits === 'unreadable' ? [] : inherits,
    permissions: Array.isArray(given) ? given : [],
    ...(typeof derived === 'object' && { derived }),
  }
  const doubt = { inherits: inherits === 'unreadable', holders: derived === 'unreadable' }
  return { document, fault, doubt: isCertain ? undefined : doubt }
}

const derivations = reader(Role.properties.derived)

/** Of a derivation that cannot be read, from whom it is derived is what matters: its condition then errs. */
function soundDerivation(stored: unknown, name: string): Role['derived'] | 'unreadable' {
  const derived = memberOf(stored, 'derived')
  if (derived === undefined || memberOf(stored, 'name') !== name) return 'unreadable'
  const from = derivations.reading(derived).read('from', 'unreadable') ?? 'unreadable'
  const condition = memberOf(derived, 'condition')
  return from === 'unreadable' ? from : { from, condition: typeof condition === 'string' ? condition : '' }
}

export interface SoundPolicy extends Sound<Policy> {
  /** What its rules are about cannot be told: they deny wherever they match, and allow nothing. */
  readonly inDoubt: boolean
}

/**
 * Of a policy, one unreadable member is taken at its strictest: `combining` as `deny_overrides`, `required` as true, and
 * a `target` as everything, with its rules in doubt. Of what is no policy at all, or has members that nobody knows, all
 * three: nothing is allowed in the tenant until it is put right.
 */
export function soundPolicy(name: string, stored: Policy): SoundPolicy {
  const fault = policies.fault(stored, name)
  if (fault === undefined) return { document: stored, fault, inDoubt: false }
  const { read, isFamiliar } = policies.reading(stored, name)
  if (!isFamiliar) return { document: { name, combining: 'deny_overrides', required: true }, fault, inDoubt: true }
  const target = read('target', 'unreadable')
  const document = {
    name,
    combining: read('combining', 'deny_overrides') ?? 'deny_overrides',
    required: read('required', true) ?? false,
    ...(typeof target === 'object' && { target }),
  }
  return { document, fault, inDoubt: target === 'unreadable' }
}

/** Why a registration of an issuer is not what it should be: it vouches for nobody then. */
export function faultOfIssuer(name: string, stored: Issuer): string | undefined {
  return issuers.fault(stored, name)
}

export interface SoundQuota extends Sound<Quota> {
  /** How much it leaves cannot be told: then it leaves nothing. */
  readonly broken: boolean
}

/** A quota is a limit: of one that cannot be read, what is unreadable matches everything, and nothing is within it. */
export function soundQuota(name: string, stored: Quota): SoundQuota {
  const fault = quotas.fault(stored, name) ?? faultOfPlaces(stored.resources) ?? faultOfKind(stored)
  if (fault === undefined) return { document: stored, fault, broken: false }
  const { read } = quotas.reading(stored, name)
  const resources = read('resources', ANY_RESOURCE) ?? ANY_RESOURCE
  const document: Quota = {
    name,
    subjects: read('subjects', ANY_SUBJECT) ?? ANY_SUBJECT,
    actions: read('actions', ANY_ACTION) ?? ANY_ACTION,
    resources: faultOfPlaces(resources) === undefined ? resources : ANY_RESOURCE,
    limit: read('limit', 1) ?? 1,
    enabled: read('enabled', true) ?? true,
  }
  return { document, fault, broken: true }
}

function faultOfKind({ requested, window_seconds }: Quota): string | undefined {
  if ((requested === undefined) !== (window_seconds === undefined)) return undefined
  return 'is neither a static limit nor a counter, or both'
}

const NOTHING_FITS = { not: {} }

/** Of a type that is quarantined, properties cannot be told: conditions that read them err. */
export function soundType(name: string, stored: EntityType): Sound<EntityType> {
  const fault = types.fault(stored, name) ?? faultOfSchema(stored)
  if (fault === undefined) return { document: stored, fault }
  const { read, isFamiliar } = types.reading(stored, name)
  const schema = isFamiliar ? read('schema', NOTHING_FITS) : NOTHING_FITS
  const document: EntityType = {
    name,
    ...(schema !== undefined && { schema }),
    on_invalid: read('on_invalid', 'reject') ?? 'reject',
    stored: read('stored', 'maybe') ?? 'maybe',
  }
  return { document, fault }
}

function faultOfSchema({ schema }: EntityType): string | undefined {
  return schema === undefined || compileSchema(schema).isSound ? undefined : '/schema: does not compile'
}

export interface SoundSettings extends Sound<Required<Settings>> {
  /** It cannot be told whether a property is the stored one or the request's. */
  readonly inDoubt: boolean
}

/** What stands for settings that cannot be read. */
const CLOSED: Required<Settings> = {
  attribute_precedence: 'stored',
  audit_mode: 'commit',
  rules_in_answers: false,
  session_idle_seconds: SHORTEST_SESSION_S,
  session_lifetime_seconds: SHORTEST_SESSION_S,
  context_lifetime_seconds: DEFAULT_SETTINGS.context_lifetime_seconds,
  levels: [],
  redaction: STRICTEST_REDACTION,
  operations: {},
  // A limit keeps nobody out who may come in: without one nothing is given away, with a wrong one everybody is refused.
  decisions_per_second: null,
}

export function soundSettings(stored: Settings | null): SoundSettings {
  const fault = stored === null ? undefined : settings.fault(stored)
  if (fault === undefined) return { document: inForce(stored), fault, inDoubt: false }
  const { read } = settings.reading(stored)
  const document = {
    attribute_precedence:
      read('attribute_precedence', CLOSED.attribute_precedence) ?? DEFAULT_SETTINGS.attribute_precedence,
    audit_mode: read('audit_mode', CLOSED.audit_mode) ?? DEFAULT_SETTINGS.audit_mode,
    rules_in_answers: read('rules_in_answers', CLOSED.rules_in_answers) ?? DEFAULT_SETTINGS.rules_in_answers,
    session_idle_seconds:
      read('session_idle_seconds', CLOSED.session_idle_seconds) ?? DEFAULT_SETTINGS.session_idle_seconds,
    session_lifetime_seconds:
      read('session_lifetime_seconds', CLOSED.session_lifetime_seconds) ?? DEFAULT_SETTINGS.session_lifetime_seconds,
    context_lifetime_seconds:
      read('context_lifetime_seconds', CLOSED.context_lifetime_seconds) ?? DEFAULT_SETTINGS.context_lifetime_seconds,
    levels: read('levels', CLOSED.levels) ?? DEFAULT_SETTINGS.levels,
    redaction: read('redaction', CLOSED.redaction) ?? DEFAULT_SETTINGS.redaction,
    operations: read('operations', CLOSED.operations) ?? DEFAULT_SETTINGS.operations,
    decisions_per_second:
      read('decisions_per_second', CLOSED.decisions_per_second) ?? DEFAULT_SETTINGS.decisions_per_second,
  }
  return { document, fault, inDoubt: read('attribute_precedence', 'unreadable') === 'unreadable' }
}
