import { VerdictError } from './error.ts'

export interface Page<Item> {
  readonly items: readonly Item[]
  /** Undefined: this was the last one. */
  readonly next: string | undefined
}

/** All that a list holds, page by page as it is asked for: `for await (const role of client.roles.list())`. */
export class Listing<Item> implements AsyncIterable<Item> {
  readonly #page: (cursor: string | undefined) => Promise<Page<Item>>

  constructor(page: (cursor: string | undefined) => Promise<Page<Item>>) {
    this.#page = page
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for await (const { items } of this.pages()) yield* items
  }

  /** From the beginning, or from where a page before said that the next one is. */
  async *pages(from?: string): AsyncGenerator<Page<Item>, void, undefined> {
    let cursor = from
    for (;;) {
      const page = await this.#page(cursor)
      yield page
      if (page.next === undefined) return
      if (page.next === cursor) throw new VerdictError('bad_answer', 'a page names itself as the next one')
      cursor = page.next
    }
  }

  /** All of them at once. */
  async all(): Promise<Item[]> {
    const items: Item[] = []
    for await (const item of this) items.push(item)
    return items
  }
}
