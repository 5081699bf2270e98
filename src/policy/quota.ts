import Type, { type Static } from 'typebox'
import { Identifier, Rule } from './model.ts'

/** Any further, and a number does not say each unit. */
export const LARGEST_LIMIT = Number.MAX_SAFE_INTEGER
export const SHORTEST_WINDOW_S = 60
export const LONGEST_WINDOW_S = 31 * 86_400

const { name, subjects, actions, resources, enabled, description } = Rule.properties

/** Whose units are counted together: each subject's, each resource's, or those of all that the quota is about. */
export const Per = Type.Union([Type.Literal('subject'), Type.Literal('resource'), Type.Literal('tenant')])
export type Per = Static<typeof Per>

const Limit = Type.Integer({ minimum: 1, maximum: LARGEST_LIMIT })
const Window = Type.Integer({ minimum: SHORTEST_WINDOW_S, maximum: LONGEST_WINDOW_S })

/**
 * How much may be allowed of what a rule could be about. With `requested` it is a static limit: what a request says of
 * that in `context.requested` may not be above it. With `window_seconds` it is a counter, from which each decision that
 * is allowed takes units, in fixed windows that are aligned to the epoch.
 */
export const Quota = Type.Object(
  {
    name,
    subjects,
    actions,
    resources,
    per: Type.Optional(Per),
    limit: Limit,
    requested: Type.Optional(Identifier),
    window_seconds: Type.Optional(Window),
    cost: Type.Optional(Identifier),
    enabled,
    description,
  },
  { additionalProperties: false },
)
export type Quota = Readonly<Static<typeof Quota>>

export type QuotaWithDefaults = Quota & Required<Pick<Quota, 'per' | 'enabled' | 'description'>>

/** In its one normal form: every member with its default. */
export function normalQuota(quota: Quota): QuotaWithDefaults {
  const { requested, window_seconds, cost } = quota
  return {
    name: quota.name,
    subjects: quota.subjects,
    actions: quota.actions,
    resources: quota.resources,
    per: quota.per ?? 'subject',
    limit: quota.limit,
    ...(requested !== undefined && { requested }),
    ...(window_seconds !== undefined && { window_seconds }),
    ...(cost !== undefined && { cost }),
    enabled: quota.enabled ?? true,
    description: quota.description ?? '',
  }
}

/** A quota as the index of rules sees it: subjects, actions and resources are a rule's. */
export function asRule({ name, subjects, actions, resources, enabled = true }: Quota): Rule {
  return { name, effect: 'deny', subjects, actions, resources, enabled }
}

/** ms since the epoch. */
export interface Window {
  readonly start: number
  readonly end: number
}

/** The fixed window that an instant (ms since the epoch) is in. */
export function windowAt(now: number, seconds: number): Window {
  const length = seconds * 1000
  const start = Math.floor(now / length) * length
  return { start, end: start + length }
}
