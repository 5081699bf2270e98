import Type, { type Static, type TSchema } from 'typebox'
import { type Capability, Constraints } from './capability.ts'
import { EntityRef, Instant, Permission } from './model.ts'

const closed = { additionalProperties: false } as const
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const Justification = Type.String({ minLength: 1, maxLength: 2000 })

const TEN_YEARS_S = 315_360_000
const Seconds = Type.Integer({ minimum: 1, maximum: TEN_YEARS_S })

/** What somebody asks to be allowed, for itself or for a subject that it names; for so many seconds from the approval on. */
export const PermissionRequest = Type.Object(
  {
    subject: Type.Optional(EntityRef),
    actions: Permission.properties.actions,
    resources: Permission.properties.resources,
    condition: Permission.properties.condition,
    constraints: Type.Optional(Constraints),
    duration_seconds: Seconds,
    justification: Justification,
  },
  closed,
)
export type PermissionRequest = Readonly<Static<typeof PermissionRequest>>

/** What of a request is granted: what is left out, as it was asked. */
export const Approval = Type.Object(
  {
    actions: Type.Optional(Permission.properties.actions),
    resources: Type.Optional(Permission.properties.resources),
    constraints: Type.Optional(Constraints),
    duration_seconds: Type.Optional(Seconds),
    reason: Type.Optional(nullable(Justification)),
  },
  closed,
)
export type Approval = Readonly<Static<typeof Approval>>

export const Refusal = Type.Object({ reason: Justification }, closed)
export type Refusal = Readonly<Static<typeof Refusal>>

/** What is written down of it. `expired` is not: a pending one has expired once it has lapsed. */
export const DECIDED_STATES = ['pending', 'approved', 'refused', 'withdrawn'] as const
export const STATES = [...DECIDED_STATES, 'expired'] as const
export type RequestState = (typeof STATES)[number]

/** How a request ended: who ended it, when and why, and, of an approved one, what was granted, as which capability. */
export const RequestDecision = Type.Object({
  by: EntityRef,
  at: Instant,
  reason: nullable(Type.String()),
  capability: nullable(Type.String()),
  granted: nullable(
    Type.Object({
      actions: Permission.properties.actions,
      resources: Permission.properties.resources,
      constraints: Constraints,
      duration_seconds: Seconds,
    }),
  ),
})
export type RequestDecision = Readonly<Static<typeof RequestDecision>>

/** A request as it stands. */
export interface GivenPermissionRequest {
  readonly id: string
  readonly subject: EntityRef
  readonly actions: Capability['actions']
  readonly resources: Capability['resources']
  readonly condition: string | null
  readonly constraints: Constraints
  readonly duration_seconds: number
  readonly justification: string
  readonly asked_by: EntityRef
  readonly state: (typeof DECIDED_STATES)[number]
  readonly lapses_at: string
  readonly decision: RequestDecision | null
}
