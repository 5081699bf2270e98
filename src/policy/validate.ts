import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { TSchema } from 'typebox'
import type { Problem } from '../failure.ts'
import { escaped } from './json.ts'

// Nothing is changed on the way in: no coercion, no defaults, nothing dropped.
const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  strict: false,
  discriminator: true,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
})
formats.default(ajv, ['date-time', 'uri', 'uuid'])

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

/** What Ajv found, as it is told: each thing once. Ajv must have been `verbose`. */
export function problemsOf(errors: readonly ErrorObject[]): Problem[] {
  const problems = new Map<string, Problem>()
  for (const error of told(errors)) {
    const problem = { pointer: pointerOf(error), detail: detailOf(error) }
    problems.set(JSON.stringify([problem.pointer, problem.detail]), problem)
    if (problems.size === MAX_PROBLEMS) break
  }
  return [...problems.values()]
}

/**
 * Of a choice Ajv says first why each way was not taken. Where one of them fits in outline, so that all its faults lie
 * further inside, those are told; else the choice says what there is to choose from.
 */
function told(errors: readonly ErrorObject[]): ErrorObject[] {
  const kept: ErrorObject[] = []
  for (const error of errors) {
    // That the one or the other branch applies is said by what is wrong in it.
    if (error.keyword === 'if') continue
    if (error.keyword !== 'anyOf') {
      kept.push(error)
      continue
    }
    let from = kept.length
    while (from > 0 && isOf(error, kept[from - 1])) from--
    const fitting = ways(error, kept.splice(from)).filter((faults) => faults.every((fault) => isInside(error, fault)))
    kept.push(...(fitting.length === 1 ? (fitting[0] ?? []) : [error]))
  }
  return kept
}

function isOf(choice: ErrorObject, error: ErrorObject | undefined): boolean {
  if (error === undefined || !error.schemaPath.startsWith(`${choice.schemaPath}/`)) return false
  return error.instancePath === choice.instancePath || error.instancePath.startsWith(`${choice.instancePath}/`)
}

/** The faults of each way of a choice. */
function ways(choice: ErrorObject, faults: readonly ErrorObject[]): ErrorObject[][] {
  const found = new Map<string, ErrorObject[]>()
  for (const fault of faults) {
    const way = fault.schemaPath.slice(choice.schemaPath.length + 1).split('/', 1)[0] ?? ''
    const others = found.get(way)
    if (others === undefined) found.set(way, [fault])
    else others.push(fault)
  }
  return [...found.values()]
}

/** Further inside than the choice itself, or beside what is known there. */
function isInside(choice: ErrorObject, { instancePath, keyword }: ErrorObject): boolean {
  return instancePath.length > choice.instancePath.length || keyword === 'additionalProperties'
}

/** Of the member that is wrong or missing, not of the object that it would stand in. */
function pointerOf({ keyword, instancePath, params }: ErrorObject): string {
  const { missingProperty, additionalProperty, tag } = params
  const member = keyword === 'discriminator' ? tag : (missingProperty ?? additionalProperty)
  return typeof member === 'string' ? `${instancePath}/${escaped(member)}` : instancePath
}

function detailOf({ keyword, params, message, schema, parentSchema, data }: ErrorObject): string {
  switch (keyword) {
    case 'required':
      return 'is required'
    case 'false schema':
      return 'does not stand beside the others'
    case 'additionalProperties':
      return 'is not a member that is known here'
    case 'discriminator':
      // Ajv says the same of a tag that is no text as of one that is missing.
      if (!Object.hasOwn(Object(data), params['tag'])) return 'is required'
      return `must be one of: ${tags(params['tag'], parentSchema)}`
    case 'const':
      return `must be ${JSON.stringify(params['allowedValue'])}`
    case 'enum':
      return `must be one of: ${listed(params['allowedValues'])}`
    case 'anyOf':
      return `must be one of: ${choices(schema)}`
    case 'format':
      return `must be ${FORMATS[String(params['format'])] ?? `a ${params['format']}`}`
    default:
      return message ?? 'is not valid'
  }
}

const INSTANT = 'an RFC 3339 date-time such as 2030-01-31T08:00:00Z'
const FORMATS: Readonly<Record<string, string>> = { 'date-time': INSTANT, uri: 'a URI', uuid: 'a UUID' }

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : 'what the schema says'
}

/** The values of the member that says which way is meant. */
function tags(tag: string, choice: ErrorObject['parentSchema']): string {
  const ways: unknown = choice?.['oneOf']
  const values = Array.isArray(ways) ? ways.map((way) => way?.properties?.[tag]?.const) : []
  return listed(values.filter((value) => value !== undefined))
}

/** How a choice reads: `"allow"`, `{role}`, `null`. */
function choices(schema: unknown): string {
  return Array.isArray(schema) ? schema.map(choice).join(', ') : 'what the schema says'
}

interface Choice {
  readonly const?: unknown
  readonly enum?: unknown
  readonly type?: unknown
  readonly format?: unknown
  readonly required?: unknown
}

function choice({ const: value, enum: values, type, format, required }: Choice): string {
  if (value !== undefined) return JSON.stringify(value)
  if (values !== undefined) return listed(values)
  if (typeof format === 'string') return FORMATS[format] ?? format
  return Array.isArray(required) ? `{${required.join(', ')}}` : String(type)
}
