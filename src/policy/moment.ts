import type { GivenAssignment } from './change.ts'

/** A time, in ms, and `[from, until)`: how long what is told of instants by it stays true. */
export class Moment {
  readonly now: number
  from = Number.NEGATIVE_INFINITY
  until = Number.POSITIVE_INFINITY

  constructor(now: number) {
    this.now = now
  }

  lasts(now: number): boolean {
    return this.from <= now && now < this.until
  }

  // An instant that cannot be read (NaN) has not come and will not come.

  hasCome(instant: number): boolean {
    this.#note(instant)
    return instant <= this.now
  }

  isToCome(instant: number): boolean {
    this.#note(instant)
    return instant > this.now
  }

  #note(instant: number): void {
    if (instant > this.now) this.until = Math.min(this.until, instant)
    else if (instant <= this.now) this.from = Math.max(this.from, instant)
  }
}

export type Standing = 'in_force' | 'built_in' | 'not_yet' | 'expired'

/** Whether an assignment counts at this moment, and if not, why. */
export function inForce({ role, valid_from, valid_until }: GivenAssignment, moment: Moment): Standing {
  if (isBuiltInRole(role)) return 'built_in'
  if (typeof valid_from === 'string' && !moment.hasCome(Date.parse(valid_from))) return 'not_yet'
  if (typeof valid_until === 'string' && !moment.isToCome(Date.parse(valid_until))) return 'expired'
  return 'in_force'
}

/** Verdict's own roles count for its own guard, never for a decision about a tenant's resources. */
export function isBuiltInRole(role: string): boolean {
  return role.startsWith('pdp:')
}
