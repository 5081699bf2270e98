import type { Condition } from './condition.ts'
import { Key } from './keys.ts'
import type { Role } from './model.ts'

/** How a role is derived: who holds one of `from` and meets the condition has it. */
export interface Derivation {
  readonly from: readonly RoleNode[]
  readonly condition: Condition
}

/** A role that something names: a rule, another role, or its own definition. */
export class RoleNode {
  readonly name: string
  readonly key = new Key()
  inherits: readonly RoleNode[] = []
  derivation: Derivation | undefined
  /** The derived roles that name it in `from`. */
  readonly derives = new Set<RoleNode>()
  users = 0
  /** The last decision that its derivation was evaluated in. */
  derivedAt = 0
  readonly itself: readonly RoleNode[] = [this]
  closure = this.itself
  closureVersion = 0

  constructor(name: string) {
    this.name = name
  }
}

/** The roles of a tenant and how they inherit. A cycle is refused when it is written; here it merely ends. */
export class RoleGraph {
  readonly #nodes = new Map<string, RoleNode>()
  #version = 1
  /** How many roles are derived: with none, no decision looks for them. */
  derived = 0

  get isEmpty(): boolean {
    return this.#nodes.size === 0
  }

  get(name: string): RoleNode | undefined {
    return this.#nodes.get(name)
  }

  get all(): Iterable<RoleNode> {
    return this.#nodes.values()
  }

  take(name: string): RoleNode {
    let node = this.#nodes.get(name)
    if (node === undefined) {
      node = new RoleNode(name)
      this.#nodes.set(name, node)
    }
    node.users++
    return node
  }

  release(node: RoleNode): void {
    if (--node.users === 0) this.#nodes.delete(node.name)
  }

  define(role: Role, condition: Condition | undefined): void {
    const node = this.take(role.name)
    node.inherits = (role.inherits ?? []).map((name) => this.take(name))
    if (role.derived !== undefined && condition !== undefined) {
      node.derivation = { from: role.derived.from.map((name) => this.take(name)), condition }
      for (const from of node.derivation.from) from.derives.add(node)
      this.derived++
    }
    this.#version++
  }

  undefine(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) return
    for (const role of node.inherits) this.release(role)
    node.inherits = []
    if (node.derivation !== undefined) {
      for (const from of node.derivation.from) {
        from.derives.delete(node)
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
