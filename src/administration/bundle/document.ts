import type { Problem } from '../../failure.ts'
import type { Assignment, Entity, EntityType, Policy, Role, Rule, Settings } from '../../policy/model.ts'

/** What the sections of a bundle hold, in normal form. */
export interface Documents {
  readonly types: EntityType
  readonly policies: Policy
  readonly roles: Role
  readonly rules: Rule
  readonly entities: Required<Entity>
  readonly assignments: Assignment
}

export type Section = keyof Documents

/** In the order in which they are written, so that what names another thing mostly stands after it. */
export const SECTIONS = ['types', 'policies', 'roles', 'rules', 'entities', 'assignments'] as const satisfies Section[]

/** A document and its place in its section as it was sent. */
export interface Placed<T> {
  readonly place: number
  readonly document: T
}

export type Sections = { readonly [S in Section]?: readonly Placed<Documents[S]>[] }

/**
 * A bundle as it was read: what is well-formed, in normal form, and all that is wrong with it by itself. What is
 * wrong together with what the tenant has is found when it is applied, so that both are told at once.
 */
export interface ReadBundle {
  readonly settings: Required<Settings> | null
  /** A section that is not here is left alone. */
  readonly sections: Sections
  /** Names of roles and policies that are not well-formed: they are declared all the same. */
  readonly malformed: { readonly roles: readonly string[]; readonly policies: readonly string[] }
  readonly problems: readonly Problem[]
  /** How many problems there are beyond those. */
  readonly more: number
}

/** How many problems are listed. */
export const SHOWN_PROBLEMS = 1000
