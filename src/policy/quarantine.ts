export type Quarantined = 'settings' | 'type' | 'policy' | 'role' | 'rule' | 'capability' | 'issuer' | 'quota'

/** A document that is not what it should be. */
export interface Fault {
  readonly kind: Quarantined
  readonly name: string
  readonly reason: string
}

/** What of a tenant is stored and is not what it should be, by kind and name, and why. */
export class Quarantine {
  readonly #reasons = new Map<Quarantined, Map<string, string>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  reason(kind: Quarantined, name: string): string | undefined {
    return this.#reasons.get(kind)?.get(name)
  }

  /** Undefined: nothing is wrong with it. */
  set(kind: Quarantined, name: string, reason: string | undefined): void {
    const ofKind = this.#reasons.get(kind)
    if (ofKind?.delete(name) === true) this.#size--
    if (reason === undefined) return
    if (ofKind === undefined) this.#reasons.set(kind, new Map([[name, reason]]))
    else ofKind.set(name, reason)
    this.#size++
  }

  *all(): Generator<Fault> {
    for (const [kind, ofKind] of this.#reasons) for (const [name, reason] of ofKind) yield { kind, name, reason }
  }
}
