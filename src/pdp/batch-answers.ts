import type { DecisionAnswer } from '../contract/authorize.ts'
import type { ItemInError } from '../contract/batch.ts'
import type { AccessRequest } from '../policy/model.ts'
import { answerOf, areAlike, isPlain, type Made } from './answer.ts'

interface Decided {
  readonly id: string
  readonly made: Made
  readonly request: AccessRequest
}

/** The answers to a batch's items, in their order: made when they are asked for, in the form in which they are. */
export class BatchAnswers {
  readonly #items: (Decided | ItemInError)[] = []

  get length(): number {
    return this.#items.length
  }

  add(id: string, made: Made, request: AccessRequest): void {
    this.#items.push({ id, made, request })
  }

  addInError(answer: ItemInError): void {
    this.#items.push(answer)
  }

  all(): (DecisionAnswer | ItemInError)[] {
    return this.#items.map((item) => ('made' in item ? answerOf(item.id, item.made, item.request) : item))
  }

  /** The same as JSON text. To make each answer and write it was a twelfth of an item's work: most are like the one before. */
  json(): string {
    const written = new Written()
    return `[${this.#items.map((item) => ('made' in item ? written.of(item) : JSON.stringify(item))).join(',')}]`
  }
}

/** The text of the last answer on both sides of its id, which is all in which those of like decisions differ. */
class Written {
  #made: Made | undefined
  #before = ''
  #after = ''

  of({ id, made, request }: Decided): string {
    if (!isPlain(made)) return JSON.stringify(answerOf(id, made, request))
    if (this.#made === undefined || !areAlike(this.#made, made)) {
      const text = JSON.stringify(answerOf(id, made, request))
      const at = text.indexOf(id)
      this.#made = made
      this.#before = text.slice(0, at)
      this.#after = text.slice(at + id.length)
    }
    return `${this.#before}${id}${this.#after}`
  }
}
