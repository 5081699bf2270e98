import type { AccessRequest, Assignment, Entity, Reason, Role, Rule } from '../../src/policy/model.ts'
import type { Dice } from '../../test/policy/dice.ts'

/** A question with the answer that it must get: `rules` are keys, in their order. */
export interface Asked {
  readonly request: AccessRequest
  readonly reason: Reason
  readonly rules: readonly string[]
}

/** A policy of as many rules as wanted, and whom and what it is about. Nothing of it is made before it is needed. */
export interface World {
  readonly rules: number
  rule(at: number): Rule
  readonly roles?: Iterable<Role>
  readonly entities?: Iterable<Entity>
  readonly assignments?: Iterable<Assignment>
  /** Uniformly at random over subjects and resources. */
  question(dice: Dice): Asked
}

export interface Mix {
  readonly name: string
  readonly about: string
  /** `size`: how many rules. */
  world(size: number): World
  /** The sizes that it is measured at, where they are not those that were asked for. */
  readonly sizes?: readonly number[]
}

export const READ = 'document:read'
export const ANY = [{ any: true as const }]

/** The rule numbered `at`; every tenth denies. */
export function numbered(at: number, subjects: Rule['subjects'], resources: Rule['resources']): Rule {
  return { name: `r${at}`, effect: denies(at) ? 'deny' : 'allow', subjects, actions: [READ], resources }
}

function denies(at: number): boolean {
  return at % 10 === 9
}

/** A question that the rule numbered `at` decides alone. */
export function decidedBy(at: number, subject: string, resource: string): Asked {
  const reason = denies(at) ? 'denied_by_rule' : 'allowed_by_rule'
  return { request: asking(subject, resource), reason, rules: [`default/r${at}`] }
}

/** A question that no rule applies to. */
export function decidedByNone(subject: string, resource: string): Asked {
  return { request: asking(subject, resource), reason: 'no_applicable_rule', rules: [] }
}

function asking(subject: string, resource: string): AccessRequest {
  return {
    subject: { type: 'user', id: subject },
    action: { name: READ },
    resource: { type: 'document', id: resource },
    context: { ip: '10.0.0.1' },
  }
}

export function* counted<T>(count: number, make: (at: number) => T): Generator<T> {
  for (let at = 0; at < count; at++) yield make(at)
}
