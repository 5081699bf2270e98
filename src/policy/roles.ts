import type { Condition } from './condition.ts'
import { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'
import { KeyTable } from './key-table.ts'
import type { Role } from './model.ts'
import type { RoleDoubt } from './soundness.ts'

/** How a role is derived: who holds one of `from` and meets the condition has it. */
export interface Derivation {
  readonly from: readonly RoleNode[]
  readonly condition: Condition
}

/** A role that something names: a rule, another role, or its own definition. */
export class RoleNode extends Key {
  inherits: readonly RoleNode[] = NO_ROLES
  derivation: Derivation | undefined
  /** How many roles inherit it, or are derived from it. */
  bases = 0
  /** A part of it could not be read: who has it may have it or not. */
  doubt: RoleDoubt | undefined
  /** It inherits itself, or is derived from itself, by way of others. */
  cyclic = false
  /** The last decision that its derivation was evaluated in. */
  derivedAt = 0
  readonly itself: readonly RoleNode[] = [this]
  closure = this.itself
  closureVersion = 0
  #derives: Set<RoleNode> | undefined

  constructor(name: string, hash: number) {
    super('role', '', name, hash)
  }

  get name(): string {
    return this.text
  }

  /** Who has it is in error about it: for denies it counts, for allows it does not. */
  get inDoubt(): boolean {
    return this.cyclic || this.doubt !== undefined
  }

  /** The derived roles that name it in `from`. */
  get derives(): Iterable<RoleNode> {
    return this.#derives ?? NO_ROLES
  }

  lets(derived: RoleNode): void {
    this.#derives ??= new Set()
    this.#derives.add(derived)
  }

  letsNoMore(derived: RoleNode): void {
    this.#derives?.delete(derived)
  }
}

const NO_ROLES: readonly RoleNode[] = Object.freeze([])

/** The roles of a tenant and how they inherit. A cycle is refused when it is written; here it puts its roles in doubt. */
export class RoleGraph {
  readonly #nodes = new KeyTable<RoleNode>()
  readonly #news: KeyNews
  #version = 1
  /** How many roles are derived. */
  derived = 0
  /** The roles that are in doubt. */
  readonly doubted = new Set<RoleNode>()

  /** `news` is told of roles that come or mean something else. */
  constructor(news: KeyNews) {
    this.#news = news
  }

  /** Whether decisions look for roles beside those that are assigned. */
  get areLookedFor(): boolean {
    return this.derived > 0 || this.doubted.size > 0
  }

  /** How many roles stand in a cycle, and are otherwise what they should be. */
  get cyclic(): number {
    let count = 0
    for (const role of this.doubted) if (role.doubt === undefined) count++
    return count
  }

  get isEmpty(): boolean {
    return this.#nodes.isEmpty
  }

  get(name: string): RoleNode | undefined {
    return this.#nodes.find(name)
  }

  /** All of them; see `KeyTable.keys`. */
  keys(): Generator<RoleNode | undefined> {
    return this.#nodes.keys()
  }

  take(name: string): RoleNode {
    const node = this.#nodes.take(name, (hash) => new RoleNode(name, hash))
    if (++node.users === 1) this.#news.tell(node)
    return node
  }

  release(node: RoleNode): void {
    if (--node.users === 0) this.#nodes.remove(node)
  }

  define(role: Role, condition: Condition | undefined, doubt?: RoleDoubt): void {
    const node = this.take(role.name)
    this.#news.tell(node)
    node.inherits = (role.inherits ?? []).map((name) => this.#base(name))
    if (role.derived !== undefined && condition !== undefined) {
      node.derivation = { from: role.derived.from.map((name) => this.#base(name)), condition }
      for (const from of node.derivation.from) this.#let(from, node)
      this.derived++
    }
    node.doubt = doubt
    this.#findCycle(node)
    this.#settleDoubt(node)
    this.#version++
  }

  undefine(name: string): void {
    const node = this.get(name)
    if (node === undefined) return
    this.#news.tell(node)
    for (const role of node.inherits) this.#releaseBase(role)
    node.inherits = NO_ROLES
    if (node.derivation !== undefined) {
      for (const from of node.derivation.from) {
        from.letsNoMore(node)
        this.#news.tell(from)
        this.#releaseBase(from)
      }
      node.derivation = undefined
      this.derived--
    }
    node.doubt = undefined
    this.#openCycles(node)
    this.#settleDoubt(node)
    this.release(node)
    this.#version++
  }

  #let(from: RoleNode, derived: RoleNode): void {
    from.lets(derived)
    this.#news.tell(from)
  }

  #base(name: string): RoleNode {
    const node = this.take(name)
    node.bases++
    return node
  }

  #releaseBase(node: RoleNode): void {
    node.bases--
    this.release(node)
  }

  /** Who inherits a role, at whatever distance, leaves it out while it is in doubt. */
  #settleDoubt(node: RoleNode): void {
    if (node.inDoubt === this.doubted.has(node)) return
    if (node.inDoubt) this.doubted.add(node)
    else this.doubted.delete(node)
    this.#news.tellEverybody()
  }

  /** Marks the roles that stand in a cycle with this one. What no role builds on closes none: mostly that is known at once. */
  #findCycle(node: RoleNode): void {
    if (node.bases === 0) return
    const below = new Set(basesOf(node))
    for (const role of below) for (const base of basesOf(role)) below.add(base)
    if (!below.has(node)) return
    const above = new Map<RoleNode, RoleNode[]>()
    for (const role of below) for (const base of basesOf(role)) above.set(base, [...(above.get(base) ?? []), role])
    const cycle = new Set([node])
    for (const role of cycle) for (const user of above.get(role) ?? []) if (below.has(user)) cycle.add(user)
    for (const role of cycle) {
      role.cyclic = true
      this.#settleDoubt(role)
    }
  }

  /** A role of a cycle has lost its bases: what is left of the cycles is looked for anew. */
  #openCycles(node: RoleNode): void {
    if (!node.cyclic) return
    const cyclic = [...this.doubted].filter((role) => role.cyclic)
    for (const role of cyclic) {
      role.cyclic = false
      this.#settleDoubt(role)
    }
    for (const role of cyclic) this.#findCycle(role)
  }

  /** A role and all that it inherits for certain, transitively: nothing that is in doubt, but for itself. */
  closure(node: RoleNode): readonly RoleNode[] {
    if (node.inherits.length === 0) return node.itself
    if (node.closureVersion === this.#version) return node.closure
    const all = new Set([node])
    // The set grows while it is walked.
    for (const role of all) for (const inherited of role.inherits) if (!inherited.inDoubt) all.add(inherited)
    node.closure = [...all]
    node.closureVersion = this.#version
    return node.closure
  }
}

function basesOf({ inherits, derivation }: RoleNode): readonly RoleNode[] {
  return derivation === undefined ? inherits : [...inherits, ...derivation.from]
}
