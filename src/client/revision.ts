/** The newest revision that this client's own writes made: what it asks afterwards is answered at that one or later. */
export class OwnRevision {
  #newest: number | undefined

  get newest(): number | undefined {
    return this.#newest
  }

  /** From the headers of a write's answer. */
  note(headers: Headers): void {
    const text = headers.get('verdict-revision') ?? ''
    if (/^[0-9]{1,15}$/.test(text)) this.#newest = Math.max(this.#newest ?? 0, Number(text))
  }

  /** Verdict does not know it, for it was put back to an earlier state: that write is gone, and nobody waits for it. */
  forget(revision: number): void {
    if (this.#newest === revision) this.#newest = undefined
  }

  /** Of what is asked for and its own, the newer one. */
  atLeast(given: number | undefined): number | undefined {
    if (given === undefined) return this.#newest
    return Math.max(given, this.#newest ?? 0)
  }
}
