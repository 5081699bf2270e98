import type { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'
import { ManyKeys } from './many-keys.ts'
import { type RoleGraph, RoleNode } from './roles.ts'

/** A name under which something is assigned, and what it came to when it was looked up. */
interface Assigned {
  times: number
  /** The role and what it inherits; empty where nothing names it, and where it is in doubt. */
  reached: readonly RoleNode[]
  doubted: RoleNode | undefined
}

const NO_ROLES: readonly RoleNode[] = Object.freeze([])

/**
 * What many assigned roles come to in an index. It is not made anew when one of them is given or taken, nor when roles
 * change: only what these concern is looked up again.
 */
export class HeldRoles {
  /** The roles, with what they inherit. */
  readonly keys: ManyKeys
  /** Counts its changes. */
  version = 0
  readonly #graph: RoleGraph
  readonly #news: KeyNews
  readonly #assigned = new Map<string, Assigned>()
  /** By how many of those that are assigned each is reached. */
  readonly #reached = new Map<RoleNode, number>()
  /** Those that reach others than themselves. */
  readonly #inheriting = new Set<Assigned>()
  #seen: number
  #names: readonly string[] | undefined
  #derivable: readonly RoleNode[] | undefined
  #doubted: readonly RoleNode[] | undefined

  constructor(graph: RoleGraph, news: KeyNews, hung: KeyNews) {
    this.#graph = graph
    this.#news = news
    this.#seen = news.count
    this.keys = new ManyKeys([], hung)
  }

  add(name: string): void {
    const known = this.#assigned.get(name)
    if (known !== undefined) known.times++
    else this.#lookUp(name, { times: 1, reached: NO_ROLES, doubted: undefined })
  }

  remove(name: string): void {
    const known = this.#assigned.get(name)
    if (known === undefined || --known.times > 0) return
    this.#letGo(name, known)
    this.#assigned.delete(name)
  }

  /** Takes over what became of roles since it was last asked. */
  freshen(): void {
    if (this.#seen === this.#news.count) return
    const keys = this.#news.since(this.#seen)
    this.#seen = this.#news.count
    if (keys === undefined) this.#again(this.#assigned.keys())
    else if (keys.length > 0) this.#hear(new Set(keys))
  }

  /** Of the roles, and of those that nothing names; in order. */
  get names(): readonly string[] {
    this.#names ??= this.#allNames().sort()
    return this.#names
  }

  /** Derived roles that name one of the roles. */
  get derivable(): readonly RoleNode[] {
    this.#derivable ??= [...new Set([...this.#reached.keys()].flatMap(({ derives }) => [...derives]))]
    return this.#derivable
  }

  /** Roles in doubt that are assigned, or inherited by what is held. */
  get doubted(): readonly RoleNode[] {
    this.#doubted ??= [
      ...[...this.#assigned.values()].flatMap(({ doubted }) => doubted ?? []),
      ...[...this.#reached.keys()].flatMap(({ inherits }) => inherits.filter(({ inDoubt }) => inDoubt)),
    ]
    return this.#doubted
  }

  #hear(keys: ReadonlySet<Key>): void {
    const concerned = new Set<string>()
    for (const key of keys) {
      if (key instanceof RoleNode && this.#assigned.has(key.name)) concerned.add(key.name)
    }
    const isHeard = (role: RoleNode) => keys.has(role)
    for (const { reached } of this.#inheriting) {
      if (reached[0] !== undefined && reached.some(isHeard)) concerned.add(reached[0].name)
    }
    this.#again(concerned)
  }

  #again(names: Iterable<string>): void {
    const concerned = [...names].map((name) => ({ name, assigned: this.#assigned.get(name) }))
    // First all of them, since a name that was none of a role may be one that another role inherits now.
    for (const { name, assigned } of concerned) if (assigned !== undefined) this.#letGo(name, assigned)
    for (const { name, assigned } of concerned) if (assigned !== undefined) this.#lookUp(name, assigned)
  }

  #lookUp(name: string, assigned: Assigned): void {
    const role = this.#graph.get(name)
    assigned.doubted = role?.inDoubt === true ? role : undefined
    assigned.reached = role === undefined || role.inDoubt ? NO_ROLES : this.#graph.closure(role)
    this.#assigned.set(name, assigned)
    if (assigned.reached.length > 1) this.#inheriting.add(assigned)
    for (const reached of assigned.reached) this.#reach(reached)
    if (role === undefined) this.#rename(name, true)
    this.#changed()
  }

  #letGo(name: string, assigned: Assigned): void {
    for (const reached of assigned.reached) this.#reachNoMore(reached)
    if (assigned.reached.length === 0 && assigned.doubted === undefined) this.#rename(name, false)
    this.#inheriting.delete(assigned)
    this.#changed()
  }

  #reach(role: RoleNode): void {
    const times = this.#reached.get(role) ?? 0
    this.#reached.set(role, times + 1)
    if (times > 0) return
    this.keys.add(role)
    this.#rename(role.name, true)
  }

  #reachNoMore(role: RoleNode): void {
    const times = this.#reached.get(role) ?? 0
    if (times > 1) {
      this.#reached.set(role, times - 1)
      return
    }
    this.#reached.delete(role)
    this.keys.delete(role)
    this.#rename(role.name, false)
  }

  #changed(): void {
    this.version++
    this.#derivable = undefined
    this.#doubted = undefined
  }

  #allNames(): string[] {
    const unnamed = [...this.#assigned].filter(([, { reached, doubted }]) => reached.length === 0 && !doubted)
    return [...[...this.#reached.keys()].map(({ name }) => name), ...unnamed.map(([name]) => name)]
  }

  /** Puts a name in its place among the others, or takes it out: to sort 10,000 again takes 5 ms. */
  #rename(name: string, isThere: boolean): void {
    const names = this.#names
    if (names === undefined) return
    const at = placeOf(name, names)
    if (isThere && names[at] !== name) this.#names = names.toSpliced(at, 0, name)
    else if (!isThere && names[at] === name) this.#names = names.toSpliced(at, 1)
  }
}

/** Where a text stands in a sorted list, or would. */
function placeOf(text: string, sorted: readonly string[]): number {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((sorted[middle] ?? '') < text) from = middle + 1
    else to = middle
  }
  return from
}
