import { type Condition, compileCondition, isFault } from './condition.ts'

/** The conditions of a tenant: each text is compiled once, and kept while something uses it. */
export class Conditions {
  readonly #byText = new Map<string, { readonly condition: Condition; users: number }>()

  get isEmpty(): boolean {
    return this.#byText.size === 0
  }

  /** Undefined: it cannot be compiled. */
  take(text: string): Condition | undefined {
    let interned = this.#byText.get(text)
    if (interned === undefined) {
      const compiled = compileCondition(text)
      if (isFault(compiled)) return undefined
      interned = { condition: compiled, users: 0 }
      this.#byText.set(text, interned)
    }
    interned.users++
    return interned.condition
  }

  release(condition: Condition): void {
    const interned = this.#byText.get(condition.text)
    if (interned !== undefined && --interned.users === 0) this.#byText.delete(condition.text)
  }
}
