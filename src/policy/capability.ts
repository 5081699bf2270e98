import Type, { type Static } from 'typebox'
import type { Problem } from '../failure.ts'
import { compileCondition, isFault } from './condition.ts'
import { EntityRef, Instant, Permission, type Rule } from './model.ts'
import { checkRule } from './parse.ts'
import { readsSubject } from './property-reads.ts'

const closed = { additionalProperties: false } as const

const CONSTRAINTS_AT_MOST = 50

/** The name of a constraint stands in a condition, so it holds nothing that would have to be escaped there. */
const CONSTRAINT = '^[A-Za-z_][A-Za-z0-9_.-]{0,63}$'

/** Limits by name (`memory`, `cpu`): what is asked for in `context.requested` under a name is at most its number. */
export const Constraints = Type.Record(
  Type.String({ pattern: CONSTRAINT }),
  Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  { ...closed, maxProperties: CONSTRAINTS_AT_MOST },
)
export type Constraints = Readonly<Static<typeof Constraints>>

const Uuid = Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' })
const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength })
const nullable = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

/** What a subject may do to what, until when (RFC 3339, exclusive). A group as the subject means its members too. */
export const Capability = Type.Object(
  {
    subject: EntityRef,
    actions: Permission.properties.actions,
    resources: Permission.properties.resources,
    condition: Permission.properties.condition,
    constraints: Type.Optional(Constraints),
    expires_at: Instant,
    justification: nullable(Text(2000)),
    name: nullable(Text(200)),
    /** Whether its subject may grant others out of it. */
    delegable: Type.Optional(Type.Boolean()),
    /** The capability that it is granted out of. */
    from: nullable(Uuid),
  },
  closed,
)
export type Capability = Readonly<Static<typeof Capability>>

/** A capability as it stands. `condition` is all that has to hold, that of what it was granted out of included. */
export const GivenCapability = Type.Object(
  {
    id: Uuid,
    subject: EntityRef,
    actions: Permission.properties.actions,
    resources: Permission.properties.resources,
    condition: Type.Union([Type.String(), Type.Null()]),
    constraints: Constraints,
    expires_at: Instant,
    justification: Type.Union([Type.String(), Type.Null()]),
    name: Type.Union([Type.String(), Type.Null()]),
    delegable: Type.Boolean(),
    from: Type.Union([Uuid, Type.Null()]),
    granted_by: EntityRef,
    /** The permission request that it was made of. */
    request: Type.Union([Uuid, Type.Null()]),
  },
  closed,
)
export type GivenCapability = Readonly<Static<typeof GivenCapability>>

/** The built-in policy that capabilities are rules of. */
export const CAPABILITIES = 'capabilities'

/** As a rule of that policy. */
export function ruleOf({ id, subject, actions, resources, condition, constraints, expires_at }: GivenCapability): Rule {
  return {
    name: id,
    policy: CAPABILITIES,
    effect: 'allow',
    subjects: [subject],
    actions,
    resources,
    condition: conjoined(condition, withinLimits(constraints)),
    obligations: limitsOf(id, constraints),
    valid_until: expires_at,
  }
}

/** The obligation to enforce constraints, in the shape that all limits have. */
export function limitsOf(id: string, constraints: Constraints): NonNullable<Rule['obligations']> {
  if (Object.keys(constraints).length === 0) return []
  return [{ id: `${CAPABILITIES}/${id}`, type: 'limits', properties: constraints }]
}

/**
 * That what is requested keeps to the constraints. What is stated and is no number is an error, and so no allow: so is a
 * `requested` that is no object, whose members would not be found.
 */
function withinLimits(constraints: Constraints): string | null {
  const names = Object.keys(constraints).sort()
  if (names.length === 0) return null
  // A negative amount is none: it would pass for one that is within every limit.
  const each = names.map((name) => {
    const key = JSON.stringify(name)
    const limit = constraints[name] ?? 0
    const amount = `context.requested[${key}]`
    return `(!(${key} in context.requested) || (${amount} >= 0.0 && ${amount} <= ${asDouble(limit)}))`
  })
  return `!has(context.requested) || (type(context.requested) == map && ${each.join(' && ')})`
}

function asDouble(limit: number): string {
  const text = String(limit)
  return Number.isInteger(limit) && !text.includes('e') ? `${text}.0` : text
}

/** Both conditions. Each stands in lines of its own, so that a comment at its end ends there. */
export function conjoined(one: string | null | undefined, other: string | null | undefined): string | null {
  if (one === null || one === undefined) return other ?? null
  if (other === null || other === undefined || other === one) return one
  return `(\n${one}\n) && (\n${other}\n)`
}

/** What is wrong with a capability by itself, beyond what its schema says. Pointers go into it. */
export function checkCapability(capability: Capability): Problem[] {
  const { subject, actions, resources, condition, delegable } = capability
  const rule: Rule = {
    name: 'x',
    effect: 'allow',
    subjects: [subject],
    actions,
    resources,
    condition: condition ?? null,
  }
  const problems = checkRule(rule).map(({ pointer, detail }) => ({
    pointer: pointer.replace(/^\/subjects\/0/, '/subject'),
    detail,
  }))
  if (problems.length > 0 || delegable !== true || !readsSubject(condition ?? '')) return problems
  return [{ pointer: '/delegable', detail: OF_ITS_SUBJECT }]
}

const OF_ITS_SUBJECT =
  'a condition that reads the subject would be about somebody else, in what is granted out of this capability'

/** What is wrong with the whole of what is compiled: it may be too large, though each of its parts is not. */
export function checkCompiled(capability: GivenCapability): Problem[] {
  const { condition } = ruleOf(capability)
  if (condition === null || condition === undefined) return []
  const compiled = compileCondition(condition)
  if (!isFault(compiled)) return []
  return [{ pointer: '/condition', detail: `with the constraints and what it is granted out of: ${compiled.detail}` }]
}
