import Type, { type Static } from 'typebox'
import { EntityRef, Identifier, Name, Permission } from '../model.ts'

const closed = { additionalProperties: false } as const

const { actions, resources, condition } = Permission.properties

/** What a context lets be done to what: it gives nothing, and takes away all that it does not name. */
export const Capability = Type.Object({ actions, resources, condition }, closed)
export type Capability = Readonly<Static<typeof Capability>>

export const Capabilities = Type.Array(Capability, { minItems: 1, maxItems: 100 })

/** Beyond 2⁵³ two numbers can be one. */
const Quota = Type.Number({ exclusiveMinimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** The most that a request may ask for (`context.requested`), by name. */
export const Quotas = Type.Record(Name, Quota, { maxProperties: 50, additionalProperties: false })
export type Quotas = Readonly<Static<typeof Quotas>>

export const ContextId = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' })

/** How often a context can be narrowed. */
export const MAX_PARENTS = 32

/** What is signed of a context, whoever carries it. */
export const ContextBody = Type.Object({
  subject: EntityRef,
  /** The one in force: the last and lowest that was given. */
  level: Type.Optional(Identifier),
  /** Those that were in force before it, the first one first. */
  former_levels: Type.Optional(Type.Array(Identifier, { maxItems: MAX_PARENTS })),
  quotas: Quotas,
  /** Layers: something is carried if each of them has a capability for it. Without any, all is carried. */
  capabilities: Type.Array(Capabilities, { maxItems: MAX_PARENTS + 1 }),
  /** The ids of the contexts that it was narrowed from, the first one first. */
  parents: Type.Array(ContextId, { maxItems: MAX_PARENTS }),
})
export type ContextBody = Readonly<Static<typeof ContextBody>>
