import { VerdictError } from './error.ts'

/** What an answer has to be before anybody acts on it. */

export type Members = Readonly<Record<string, unknown>>

export function isObject(given: unknown): given is Members {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

export const notAnAnswer = (what: string) => new VerdictError('bad_answer', `the answer is no ${what}`)
