export interface Guard {
  readonly guard: string
  readonly file: string
  /** Attacks of the tables that were not answered as they should be when it was removed. */
  readonly red: readonly string[]
}

export const GUARDS: readonly Guard[] = []
