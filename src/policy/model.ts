import Type, { type Static, type TSchema } from 'typebox'
import type { QuotaUse, Taking } from './quota-use.ts'

/**
 * The model: schemas of policy documents and of decision requests, with the types derived from them.
 * Member names are those of the API and of Postgres; there is no mapping between the three.
 */

/** A JSON object with members that nobody declared: properties, a request's context. */
export const Properties = Type.Record(Type.String(), Type.Unknown())
export type Properties = Readonly<Static<typeof Properties>>

// Control characters (C0, DEL, C1) and lone surrogates never stand in an identifier: Postgres would refuse
// some of them and fold others into U+FFFD, which makes two ids one.
export const IDENTIFIER_PATTERN = '^[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]+$'

/** A type, an id or an action in a request: 1 to 512 characters, no control characters. */
export const Identifier = Type.String({ minLength: 1, maxLength: 512, pattern: IDENTIFIER_PATTERN })

/** The name of a role, a rule or a policy. Names that begin with `pdp:` are Verdict's own. */
export const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$' })

/** An instant: RFC 3339 with a zone. */
export const Instant = Type.String({ format: 'date-time', maxLength: 40 })

const Description = Type.String({ maxLength: 2000 })

/** A CEL expression; its syntax and its size are checked when it is compiled. */
const Condition = Type.String({ minLength: 1, maxLength: 20_000 })

const closed = { additionalProperties: false } as const

export const EntityRef = Type.Object({ type: Identifier, id: Identifier }, closed)
export type EntityRef = Readonly<Static<typeof EntityRef>>

export const Entity = Type.Object(
  {
    type: Identifier,
    id: Identifier,
    properties: Type.Optional(Properties),
    parents: Type.Optional(Type.Array(EntityRef, { maxItems: 1000 })),
    disabled: Type.Optional(Type.Boolean()),
  },
  closed,
)
export type Entity = Readonly<Static<typeof Entity>>

export const Obligation = Type.Object(
  { id: Identifier, type: Identifier, properties: Type.Optional(Properties) },
  closed,
)
export type Obligation = Readonly<Static<typeof Obligation>>

const Obligations = Type.Array(Obligation, { maxItems: 50 })

/** Whom a rule is about: holders of a role, an entity (a group means its members too), or anybody. */
export const SubjectSelector = Type.Union([
  Type.Object({ role: Name }, closed),
  Type.Object({ type: Identifier, id: Identifier }, closed),
  Type.Object({ any: Type.Literal(true) }, closed),
])
export type SubjectSelector = Readonly<Static<typeof SubjectSelector>>

/**
 * What a rule is about. `type` "*" is every type. `id` is a pattern (`*`, `**`, `?`, `\` escapes);
 * `within` is an entity that the resource is, or descends from. What is given must all match.
 */
export const ResourceSelector = Type.Object(
  { type: Identifier, id: Type.Optional(Identifier), within: Type.Optional(EntityRef) },
  closed,
)
export type ResourceSelector = Readonly<Static<typeof ResourceSelector>>

/** A pattern of action names, in which `*` is any run of characters. */
const Actions = Type.Array(Identifier, { minItems: 1, maxItems: 1000 })
const Resources = Type.Array(ResourceSelector, { minItems: 1, maxItems: 1000 })

export const Effect = Type.Union([Type.Literal('allow'), Type.Literal('deny')])
export type Effect = Static<typeof Effect>

export const Rule = Type.Object(
  {
    name: Name,
    policy: Type.Optional(Name),
    effect: Effect,
    subjects: Type.Array(SubjectSelector, { minItems: 1, maxItems: 1000 }),
    actions: Actions,
    resources: Resources,
    condition: Type.Optional(Type.Union([Condition, Type.Null()])),
    obligations: Type.Optional(Obligations),
    priority: Type.Optional(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 })),
    valid_from: Type.Optional(Type.Union([Instant, Type.Null()])),
    valid_until: Type.Optional(Type.Union([Instant, Type.Null()])),
    enabled: Type.Optional(Type.Boolean()),
    description: Type.Optional(Description),
  },
  closed,
)
export type Rule = Readonly<Static<typeof Rule>>

export const Permission = Type.Object(
  {
    actions: Actions,
    resources: Resources,
    condition: Type.Optional(Type.Union([Condition, Type.Null()])),
    obligations: Type.Optional(Obligations),
  },
  closed,
)
export type Permission = Readonly<Static<typeof Permission>>

export const Role = Type.Object(
  {
    name: Name,
    description: Type.Optional(Description),
    inherits: Type.Optional(Type.Array(Name, { maxItems: 1000, uniqueItems: true })),
    permissions: Type.Optional(Type.Array(Permission, { maxItems: 1000 })),
    derived: Type.Optional(
      Type.Object(
        { from: Type.Array(Name, { minItems: 1, maxItems: 1000, uniqueItems: true }), condition: Condition },
        closed,
      ),
    ),
  },
  closed,
)
export type Role = Readonly<Static<typeof Role>>

export const Combining = Type.Union([
  Type.Literal('deny_overrides'),
  Type.Literal('allow_overrides'),
  Type.Literal('first_applicable'),
])
export type Combining = Static<typeof Combining>

export const Policy = Type.Object(
  {
    name: Name,
    combining: Type.Optional(Combining),
    required: Type.Optional(Type.Boolean()),
    target: Type.Optional(
      Type.Object(
        {
          resource_types: Type.Optional(Type.Array(Identifier, { minItems: 1, maxItems: 1000 })),
          actions: Type.Optional(Actions),
        },
        closed,
      ),
    ),
    description: Type.Optional(Description),
  },
  closed,
)
export type Policy = Readonly<Static<typeof Policy>>

/** The policies that every tenant has. Rules cannot be put into `roles`, `capabilities` or `pdp`. */
export const BUILT_IN_POLICIES = ['roles', 'default', 'capabilities'] as const

export const EntityType = Type.Object(
  {
    name: Identifier,
    actions: Type.Optional(Type.Array(Identifier, { maxItems: 1000, uniqueItems: true })),
    schema: Type.Optional(Properties),
    on_invalid: Type.Optional(Type.Union([Type.Literal('reject'), Type.Literal('warn')])),
    protected_properties: Type.Optional(Type.Array(Identifier, { maxItems: 1000, uniqueItems: true })),
    stored: Type.Optional(Type.Union([Type.Literal('maybe'), Type.Literal('never')])),
    description: Type.Optional(Description),
  },
  closed,
)
export type EntityType = Readonly<Static<typeof EntityType>>

/** A role given to a subject; with `within`, only for that resource and its descendants. Valid in `[from, until)`. */
export const Assignment = Type.Object(
  {
    subject: EntityRef,
    role: Name,
    within: Type.Optional(EntityRef),
    valid_from: Type.Optional(Type.Union([Instant, Type.Null()])),
    valid_until: Type.Optional(Type.Union([Instant, Type.Null()])),
    reason: Type.Optional(Type.Union([Description, Type.Null()])),
  },
  closed,
)
export type Assignment = Readonly<Static<typeof Assignment>>

export const AttributePrecedence = Type.Union([Type.Literal('request'), Type.Literal('stored')])
export type AttributePrecedence = Static<typeof AttributePrecedence>

/** What becomes of a value before it is recorded. `keyed_hash`: it can still be found by equality. */
export const Treatment = Type.Union([Type.Literal('clear'), Type.Literal('drop'), Type.Literal('keyed_hash')])
export type Treatment = Static<typeof Treatment>

/** Paths into a record, and how what they name is treated. The most specific path that covers a value decides. */
export const RedactionSettings = Type.Record(Type.String({ minLength: 1, maxLength: 1024 }), Treatment, {
  maxProperties: 200,
  description:
    'By path (`subject.properties.email`, `context.*`, `ip`), what becomes of a value before it is recorded.',
})
export type RedactionSettings = Readonly<Static<typeof RedactionSettings>>

/** How a permission that an operation declares becomes a question. */
export const OperationMapping = Type.Object(
  {
    action: Identifier,
    resource_type: Identifier,
    /** What becomes of the target before it is the resource's id; `none` where it is left out. */
    normalize: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('path'), Type.Literal('address')])),
    /** What conditions find in `action.properties`: `acl.permission` as `action.properties.acl.permission`. */
    attributes: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^(acl|rbac)\\.[A-Za-z][A-Za-z0-9_]{0,63}$' }),
        Type.Union([Type.String({ maxLength: 512 }), Type.Number(), Type.Boolean()]),
        { maxProperties: 20, ...closed },
      ),
    ),
  },
  closed,
)
export type OperationMapping = Readonly<Static<typeof OperationMapping>>

/** By the kind of the permission: `filesystem.read`. */
export const OperationSettings = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$' }),
  OperationMapping,
  {
    maxProperties: 200,
    ...closed,
    description:
      'By the kind of a permission that an operation declares (`filesystem.read`), what `/v1/authorize/operation` asks for it.',
  },
)
export type OperationSettings = Readonly<Record<string, OperationMapping>>

/** In seconds: as long as an access token lives. */
export const SHORTEST_SESSION_S = 900

/** A tenant's own settings, each with its default where it is absent. */
export const Settings = Type.Object(
  {
    attribute_precedence: Type.Optional(AttributePrecedence),
    audit_mode: Type.Optional(Type.Union([Type.Literal('journal'), Type.Literal('commit')])),
    rules_in_answers: Type.Optional(Type.Boolean()),
    /** How long a login lasts without being refreshed, and at most. */
    session_idle_seconds: Type.Optional(Type.Integer({ minimum: SHORTEST_SESSION_S, maximum: 30 * 86_400 })),
    session_lifetime_seconds: Type.Optional(Type.Integer({ minimum: SHORTEST_SESSION_S, maximum: 90 * 86_400 })),
    /** How long a security context may live at most. */
    context_lifetime_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    /** From the lowest to the highest: what `level()` compares in conditions. */
    levels: Type.Optional(Type.Array(Identifier, { minItems: 1, maxItems: 100, uniqueItems: true })),
    redaction: Type.Optional(RedactionSettings),
    operations: Type.Optional(OperationSettings),
    /** null: as many as it asks for. Each process counts by itself. */
    decisions_per_second: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000 }), Type.Null()])),
  },
  closed,
)
export type Settings = Readonly<Static<typeof Settings>>

export const DEFAULT_SETTINGS: Required<Settings> = {
  attribute_precedence: 'request',
  audit_mode: 'journal',
  rules_in_answers: true,
  session_idle_seconds: 3_600,
  session_lifetime_seconds: 43_200,
  context_lifetime_seconds: 900,
  levels: ['none', 'read_only', 'read_write', 'admin', 'system'],
  redaction: {},
  operations: {},
  decisions_per_second: null,
}

/** Where it cannot be known what a tenant wants: nothing in the clear that could be hidden, and all of it still findable. */
export const STRICTEST_REDACTION: RedactionSettings = {
  'subject.id': 'keyed_hash',
  'subject.properties': 'keyed_hash',
  'resource.id': 'keyed_hash',
  'resource.properties': 'keyed_hash',
  'action.properties': 'keyed_hash',
  'actor.id': 'keyed_hash',
  context: 'keyed_hash',
  ip: 'keyed_hash',
  user_agent: 'keyed_hash',
}

/** The settings with every default. Without any redaction, `redaction` is the default itself: that is one comparison. */
export function inForce(settings: Settings | null): Required<Settings> {
  const all = { ...DEFAULT_SETTINGS, ...settings }
  return Object.keys(all.redaction).length > 0 ? all : { ...all, redaction: DEFAULT_SETTINGS.redaction }
}

const section = <T extends TSchema>(item: T) => Type.Optional(Type.Array(item))

/** A tenant's whole policy as one document; a section that is absent is left alone. */
export const Bundle = Type.Object(
  {
    verdict: Type.Literal(1),
    settings: Type.Optional(Settings),
    types: section(EntityType),
    policies: section(Policy),
    roles: section(Role),
    rules: section(Rule),
    entities: section(Entity),
    assignments: section(Assignment),
  },
  closed,
)
export type Bundle = Readonly<Static<typeof Bundle>>

// A decision request ignores members that it does not know (AuthZEN), so nothing here is closed.
const RequestEntity = Type.Object({ type: Identifier, id: Identifier, properties: Type.Optional(Properties) })

export const AccessRequest = Type.Object({
  subject: RequestEntity,
  action: Type.Object({ name: Identifier, properties: Type.Optional(Properties) }),
  resource: RequestEntity,
  context: Type.Optional(Properties),
  options: Type.Optional(Type.Object({ min_revision: Type.Optional(Type.Integer({ minimum: 0 })) })),
})
export type AccessRequest = Readonly<Static<typeof AccessRequest>>

/** Why a decision came out as it did. The reason of a deny is the first of this list that fits. */
export const REASONS = [
  'allowed_by_rule',
  'unmapped_operation',
  'tenant_suspended',
  'context_invalid',
  'context_expired',
  'context_revoked',
  'subject_disabled',
  'denied_by_rule',
  'condition_error',
  'required_policy_not_satisfied',
  'no_applicable_rule',
  'context_exceeded',
  'quota_exceeded',
] as const
export const Reason = Type.Enum([...REASONS])
export type Reason = (typeof REASONS)[number]

/** What the core answers. `rules` are keys (`policy/name`): those that made the decision, or those that erred. */
export interface Decision {
  readonly decision: boolean
  readonly reason: Reason
  readonly rules: readonly string[]
  readonly obligations: readonly Obligation[]
  /** The quotas that it is about, in the order of their names; absent where there are none. */
  readonly quotas?: readonly QuotaUse[]
  /** What it takes of counters before it may be given: present only where it is an allow that takes something. */
  readonly taking?: Taking
}
