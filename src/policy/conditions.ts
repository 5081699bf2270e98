import { type Condition, compileCondition, isFault } from './condition.ts'
import { Interned } from './interned.ts'

/** The conditions of a tenant: each text is compiled once, and kept while something uses it. */
export class Conditions {
  readonly #byText = new Interned<Condition | undefined>()

  get isEmpty(): boolean {
    return this.#byText.isEmpty
  }

  /** Undefined: it cannot be compiled. */
  take(text: string): Condition | undefined {
    const condition = this.#byText.take(text, compiled)
    if (condition === undefined) this.#byText.release(text)
    return condition
  }

  release({ text }: Condition): void {
    this.#byText.release(text)
  }
}

function compiled(text: string): Condition | undefined {
  const condition = compileCondition(text)
  return isFault(condition) ? undefined : condition
}
