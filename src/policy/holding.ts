import type { GivenAssignment } from './change.ts'
import { HeldRoles } from './held-roles.ts'
import type { KeyNews } from './key-news.ts'
import { isBuiltInRole, Moment } from './moment.ts'
import type { RoleGraph } from './roles.ts'
import { ScopedRoles } from './scoped-roles.ts'

/** An assignment that begins or ends, ms since 1970. */
interface Timed {
  readonly from: number
  readonly until: number
  counts: boolean
}

/** What the many assignments of one entity come to in an index. It goes with them when one is added or taken away. */
export class Holding {
  readonly roles: HeldRoles
  readonly scoped = new ScopedRoles()
  readonly #timed = new Map<GivenAssignment, Timed>()
  #list: readonly GivenAssignment[] = []
  #moment: Moment

  constructor(graph: RoleGraph, news: KeyNews, hung: KeyNews, now: number) {
    this.roles = new HeldRoles(graph, news, hung)
    this.#moment = new Moment(now)
  }

  /** The assignments that it is made of. */
  get list(): readonly GivenAssignment[] {
    return this.#list
  }

  /** Goes over to another list. A write leaves what stays in its order and puts what is new behind it. */
  follow(list: readonly GivenAssignment[]): void {
    const former = this.#list
    let stay = 0
    const gone: GivenAssignment[] = []
    for (const assignment of former) {
      if (assignment === list[stay]) stay++
      else gone.push(assignment)
    }
    for (const assignment of gone) this.#remove(assignment)
    for (let at = stay; at < list.length; at++) this.#add(list[at])
    this.#list = list
  }

  /** Takes over what became of roles, and what has begun or ended. */
  freshen(now: number): void {
    if (!this.#moment.lasts(now)) this.#goTo(new Moment(now))
    this.roles.freshen()
  }

  #goTo(moment: Moment): void {
    this.#moment = moment
    for (const [assignment, timed] of this.#timed) {
      const counts = isNow(timed, moment)
      if (counts && !timed.counts) this.#count(assignment)
      else if (!counts && timed.counts) this.#discount(assignment)
      timed.counts = counts
    }
  }

  #add(assignment: GivenAssignment | undefined): void {
    if (assignment === undefined || isBuiltInRole(assignment.role)) return
    const timed = timesOf(assignment)
    if (timed !== undefined) {
      timed.counts = isNow(timed, this.#moment)
      this.#timed.set(assignment, timed)
      if (!timed.counts) return
    }
    this.#count(assignment)
  }

  #remove(assignment: GivenAssignment | undefined): void {
    if (assignment === undefined || isBuiltInRole(assignment.role)) return
    const timed = this.#timed.get(assignment)
    this.#timed.delete(assignment)
    if (timed?.counts !== false) this.#discount(assignment)
  }

  #count({ role, within }: GivenAssignment): void {
    if (within === undefined) this.roles.add(role)
    else this.scoped.add(within, role)
  }

  #discount({ role, within }: GivenAssignment): void {
    if (within === undefined) this.roles.remove(role)
    else this.scoped.remove(within, role)
  }
}

/** Undefined: it has neither a beginning nor an end. */
function timesOf({ valid_from, valid_until }: GivenAssignment): Timed | undefined {
  if (typeof valid_from !== 'string' && typeof valid_until !== 'string') return undefined
  const from = typeof valid_from === 'string' ? Date.parse(valid_from) : Number.NEGATIVE_INFINITY
  const until = typeof valid_until === 'string' ? Date.parse(valid_until) : Number.POSITIVE_INFINITY
  return { from, until, counts: false }
}

function isNow({ from, until }: Timed, moment: Moment): boolean {
  const hasBegun = moment.hasCome(from)
  return moment.isToCome(until) && hasBegun
}
