import Type, { type Static } from 'typebox'
import { Combining, Effect, EntityRef, ResourceSelector, SubjectSelector } from './model.ts'

/** What an explanation looks like. */

/** `errs`: it cannot be told. An allow then does not apply, and a deny does. */
export const PartOutcome = Type.Union([Type.Literal('holds'), Type.Literal('fails'), Type.Literal('errs')])
export type PartOutcome = Static<typeof PartOutcome>

/** An attribute that a condition read. Neither `value`, nor `unknown`, nor `hidden`: it is absent. */
const SeenValue = Type.Object({
  path: Type.String({ description: 'As a condition writes it: `resource.properties.owner`.' }),
  value: Type.Optional(Type.Unknown()),
  unknown: Type.Optional(Type.Literal(true, { description: 'It cannot be told: `subject.roles`, if a role erred.' })),
  hidden: Type.Optional(Type.Literal(true, { description: "It is there, and the tenant's redaction drops it." })),
  shortened: Type.Optional(Type.Literal(true, { description: '`value` is the beginning of its JSON text.' })),
})
export type SeenValue = Readonly<Static<typeof SeenValue>>

export const ConditionTrace = Type.Object({
  outcome: PartOutcome,
  text: Type.String(),
  values: Type.Array(SeenValue, { description: 'The attributes that it read, in the order of its text.' }),
  error: Type.Optional(
    Type.Object({
      detail: Type.String(),
      line: Type.Optional(Type.Integer()),
      column: Type.Optional(Type.Integer({ description: 'In the text; lines and columns count from 1.' })),
    }),
  ),
})
export type ConditionTrace = Readonly<Static<typeof ConditionTrace>>

/** `by` is the first alternative that holds; where none does, `of` are the first ten that there are. */
const part = <T extends Parameters<typeof Type.Array>[0]>(alternative: T) =>
  Type.Object({
    outcome: PartOutcome,
    by: Type.Optional(alternative),
    of: Type.Optional(Type.Array(alternative)),
  })

export const RuleParts = Type.Object({
  target: Type.Object({ outcome: PartOutcome }, { description: "Of the rule's policy." }),
  subject: part(SubjectSelector),
  action: part(Type.String()),
  resource: part(ResourceSelector),
  validity: Type.Object({
    outcome: PartOutcome,
    valid_from: Type.Optional(Type.String()),
    valid_until: Type.Optional(Type.String()),
  }),
  condition: Type.Optional(ConditionTrace),
})
export type RuleParts = Readonly<Static<typeof RuleParts>>

const rule = {
  rule: Type.String({ description: '`policy/name`; of a role, `roles/name`.' }),
  permission: Type.Optional(Type.Integer({ description: "Of a role: its permission's place, from 0." })),
  effect: Effect,
  priority: Type.Integer(),
  quarantined: Type.Optional(
    Type.Literal(true, { description: 'It does not compile: it never allows, always denies.' }),
  ),
  parts: RuleParts,
}

export const RuleTrace = Type.Object({
  ...rule,
  applies: Type.Boolean(),
  erred: Type.Boolean({ description: 'It could not be told whether it applies: an allow then does not, a deny does.' }),
})
export type RuleTrace = Readonly<Static<typeof RuleTrace>>

const Failed = Type.Union([
  Type.Literal('condition'),
  Type.Literal('validity'),
  Type.Literal('subject'),
  Type.Literal('resource'),
  Type.Literal('action'),
])
export type Failed = Static<typeof Failed>

export const NearMiss = Type.Object({ ...rule, failed: Failed })
export type NearMiss = Readonly<Static<typeof NearMiss>>

/** One way to a role. */
const Through = Type.Object({
  assignment: Type.Optional(Type.String({ description: 'The id of the assignment that gives it.' })),
  subject: Type.Optional(EntityRef),
  path: Type.Optional(
    Type.Array(EntityRef, { description: 'From the subject up to whom it is assigned to, both included.' }),
  ),
  within: Type.Optional(EntityRef),
  valid_from: Type.Optional(Type.String()),
  valid_until: Type.Optional(Type.String()),
  inherited_from: Type.Optional(Type.String({ description: 'The role that inherits it.' })),
  derived_from: Type.Optional(Type.String({ description: 'The role whose holders it is derived for.' })),
  condition: Type.Optional(ConditionTrace),
})
export type Through = Readonly<Static<typeof Through>>

export const RoleTrace = Type.Object({
  role: Type.String(),
  erred: Type.Boolean({ description: 'Its derivation erred: it is held for denies, and not for allows.' }),
  through: Type.Array(Through),
})
export type RoleTrace = Readonly<Static<typeof RoleTrace>>

export const MissedRole = Type.Object({
  role: Type.String(),
  because: Type.Union([
    Type.Literal('not_yet'),
    Type.Literal('expired'),
    Type.Literal('elsewhere', { description: 'It is given within something that the resource is not in.' }),
    Type.Literal('condition', { description: 'The condition that it is derived by fails.' }),
  ]),
  through: Through,
})
export type MissedRole = Readonly<Static<typeof MissedRole>>

export const PolicyTrace = Type.Object({
  policy: Type.String(),
  combining: Combining,
  required: Type.Boolean(),
  target: Type.Boolean({ description: 'Whether its target matches. If not, none of its rules counts.' }),
  verdict: Type.Union([Effect, Type.Null()], { description: 'null: none of its rules applies.' }),
  erred: Type.Boolean({ description: 'It came to deny because a condition erred, and for nothing else.' }),
  rules: Type.Array(Type.String(), { description: 'The rules that made its verdict.' }),
})
export type PolicyTrace = Readonly<Static<typeof PolicyTrace>>

export const Trace = Type.Object({
  roles: Type.Array(RoleTrace, { description: 'The roles held, and through what.' }),
  roles_missed: Type.Array(MissedRole, { description: 'Roles that are given, but do not count for this request.' }),
  rules: Type.Array(RuleTrace, { description: 'The rules whose subject, action and resource match.' }),
  policies: Type.Array(PolicyTrace, { description: 'What each policy came to.' }),
  nearest_misses: Type.Array(NearMiss, {
    description:
      'Of a deny: up to ten rules of which one part fails, and that would have made it an allow; best first.',
  }),
  complete: Type.Boolean({ description: 'Nothing was left out or left unsearched to keep this bounded.' }),
})
export type Trace = Readonly<Static<typeof Trace>>
