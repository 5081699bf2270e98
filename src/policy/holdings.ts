import type { GivenAssignment } from './change.ts'
import { Holding } from './holding.ts'
import type { KeyNews } from './key-news.ts'
import type { RoleGraph } from './roles.ts'

type List = readonly GivenAssignment[]

// Of a shorter list, what it comes to is made anew as fast.
const SHORT = 16

// The list that one was made from by a write, until it is used itself.
const formers = new WeakMap<List, List>()

/** A write has made one entity's list of assignments from another one. The two are of the same objects, but for what it did. */
export function succeeds(list: List, former: List): void {
  // Of many writes between two questions, the first one's list is the one that something was made of.
  if (list.length > SHORT) formers.set(list, formers.get(former) ?? former)
}

/** What entities hold by their many assignments, kept with the lists of these: a list is never changed in place. */
export class Holdings {
  readonly #byList = new WeakMap<List, Holding>()
  readonly #graph: RoleGraph
  readonly #news: KeyNews
  readonly #hung: KeyNews

  constructor(graph: RoleGraph, news: KeyNews, hung: KeyNews) {
    this.#graph = graph
    this.#news = news
    this.#hung = hung
  }

  /** As of now (ms). It is good for one decision: the next one asks `isOf` and has it freshened. */
  of(list: List, now: number): Holding {
    const holding =
      this.#byList.get(list) ?? this.#inherit(list) ?? new Holding(this.#graph, this.#news, this.#hung, now)
    if (holding.list !== list) {
      holding.follow(list)
      this.#byList.set(list, holding)
    }
    holding.freshen(now)
    return holding
  }

  /** That of the former list, which is not used any more. */
  #inherit(list: List): Holding | undefined {
    const former = formers.get(list)
    if (former === undefined) return undefined
    formers.delete(list)
    const holding = this.#byList.get(former)
    this.#byList.delete(former)
    return holding
  }
}
