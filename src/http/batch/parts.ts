import { Ajv, type ValidateFunction } from 'ajv'
import type { TSchema } from 'typebox'
import type { Problem } from '../../failure.ts'
import { problemsOf } from '../../policy/validate.ts'

// As at every door: nothing is coerced, defaulted or dropped.
const ajv = new Ajv({ verbose: true, strict: false, coerceTypes: false, useDefaults: false, removeAdditional: false })

/** A part of a question as it was sent, and what is wrong with it. */
export type Part<T> =
  | { readonly value: T; readonly problems: readonly never[] }
  | { readonly value: undefined; readonly problems: readonly Problem[] }

export type ReadPart<T> = (sent: unknown) => Part<T>

const NONE: readonly never[] = Object.freeze([])

/** Reads the part of a question that has this name; `clean` makes of what fits what goes on. */
export function partReader<T>(name: string, schema: TSchema, clean: (value: T) => T = (value) => value): ReadPart<T> {
  const validate: ValidateFunction<T> = ajv.compile<T>(schema)
  return (sent) => {
    if (validate(sent)) return { value: clean(sent), problems: NONE }
    const problems = problemsOf(validate.errors ?? [])
    return { value: undefined, problems: problems.map((found) => ({ ...found, pointer: `/${name}${found.pointer}` })) }
  }
}

export function absent<T>(name: string): Part<T> {
  return { value: undefined, problems: [{ pointer: `/${name}`, detail: 'is required' }] }
}

export const NOTHING: Part<undefined> = { value: undefined, problems: NONE }
