import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { TSchema } from 'typebox'
import type { Problem } from '../failure.ts'

// Nothing is changed on the way in: no coercion, no defaults, nothing dropped.
const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  strict: false,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
})
formats.default(ajv, ['date-time'])

// A document can be wrong in as many places as it has; nobody reads more than these.
const MAX_PROBLEMS = 1000

/** A check of a document against a schema: all that is wrong with it, by pointer. */
export function schemaCheck(schema: TSchema): (document: unknown) => Problem[] {
  let validate: ValidateFunction | undefined
  return (document) => {
    validate ??= ajv.compile(schema)
    return validate(document) ? [] : problemsOf(validate.errors ?? [])
  }
}

/**
 * The same check, of which nobody is told what is wrong. Of a choice, Ajv writes down at length why each way was not taken
 * before it comes to the one that is: within a `not`, nothing is written.
 */
export function schemaTest(schema: TSchema): (document: unknown) => boolean {
  let validate: ValidateFunction | undefined
  return (document) => {
    validate ??= ajv.compile({ not: { not: schema } })
    return validate(document)
  }
}

function problemsOf(errors: readonly ErrorObject[]): Problem[] {
  const problems = new Map<string, Problem>()
  for (const error of errors) {
    // Of a choice, each way in which it was not taken is an error too: the choice itself says enough.
    if (error.schemaPath.includes('/anyOf/')) continue
    const problem = problemOf(error)
    problems.set(JSON.stringify([problem.pointer, problem.detail]), problem)
    if (problems.size === MAX_PROBLEMS) break
  }
  return [...problems.values()]
}

function problemOf({ keyword, instancePath, params, message, schema }: ErrorObject): Problem {
  if (keyword === 'additionalProperties') {
    return { pointer: `${instancePath}/${escaped(String(params['additionalProperty']))}`, detail: 'no such member' }
  }
  if (keyword === 'const') return { pointer: instancePath, detail: `must be ${JSON.stringify(params['allowedValue'])}` }
  if (keyword === 'enum') return { pointer: instancePath, detail: `must be one of: ${listed(params['allowedValues'])}` }
  if (keyword === 'anyOf') return { pointer: instancePath, detail: `must be one of: ${choices(schema)}` }
  return { pointer: instancePath, detail: message ?? 'is not valid' }
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : 'what the schema says'
}

/** How a choice reads: `"allow"`, `{role}`, `null`. */
function choices(schema: unknown): string {
  return Array.isArray(schema) ? schema.map(choice).join(', ') : 'what the schema says'
}

interface Choice {
  readonly const?: unknown
  readonly type?: unknown
  readonly format?: unknown
  readonly required?: unknown
}

function choice({ const: value, type, format, required }: Choice): string {
  if (value !== undefined) return JSON.stringify(value)
  if (format === 'date-time') return 'an RFC 3339 date-time such as 2030-01-31T08:00:00Z'
  return Array.isArray(required) ? `{${required.join(', ')}}` : String(type)
}

export function escaped(member: string): string {
  return member.replaceAll('~', '~0').replaceAll('/', '~1')
}
