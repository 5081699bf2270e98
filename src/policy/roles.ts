import type { Condition } from './condition.ts'
import { Key } from './key.ts'
import { KeyTable } from './key-table.ts'
import type { Role } from './model.ts'

/** How a role is derived: who holds one of `from` and meets the condition has it. */
export interface Derivation {
  readonly from: readonly RoleNode[]
  readonly condition: Condition
}

/** A role that something names: a rule, another role, or its own definition. */
export class RoleNode extends Key {
  inherits: readonly RoleNode[] = NO_ROLES
  derivation: Derivation | undefined
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

/** The roles of a tenant and how they inherit. A cycle is refused when it is written; here it merely ends. */
export class RoleGraph {
  readonly #nodes = new KeyTable<RoleNode>()
  #version = 1
  /** How many roles are derived: with none, no decision looks for them. */
  derived = 0

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
    node.users++
    return node
  }

  release(node: RoleNode): void {
    if (--node.users === 0) this.#nodes.remove(node)
  }

  define(role: Role, condition: Condition | undefined): void {
    const node = this.take(role.name)
    node.inherits = (role.inherits ?? []).map((name) => this.take(name))
    if (role.derived !== undefined && condition !== undefined) {
      node.derivation = { from: role.derived.from.map((name) => this.take(name)), condition }
      for (const from of node.derivation.from) from.lets(node)
      this.derived++
    }
    this.#version++
  }

  undefine(name: string): void {
    const node = this.get(name)
    if (node === undefined) return
    for (const role of node.inherits) this.release(role)
    node.inherits = NO_ROLES
    if (node.derivation !== undefined) {
      for (const from of node.derivation.from) {
        from.letsNoMore(node)
        this.release(from)
      }
      node.derivation = undefined
      this.derived--
    }
    this.release(node)
    this.#version++
  }

  /** A role and all that it inherits, transitively. */
  closure(node: RoleNode): readonly RoleNode[] {
    if (node.inherits.length === 0) return node.itself
    if (node.closureVersion === this.#version) return node.closure
    const all = new Set([node])
    // The set grows while it is walked.
    for (const role of all) for (const inherited of role.inherits) all.add(inherited)
    node.closure = [...all]
    node.closureVersion = this.#version
    return node.closure
  }
}
