import { _, type ErrorObject, type KeywordCxt, type Options, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { LRUCache } from 'lru-cache'
import type { Problem } from '../failure.ts'
import { Budget } from './budget.ts'
import { finds } from './cel-functions.ts'
import { charge, Fault } from './cel-values.ts'
import { escaped, isObject } from './json.ts'
import { linearExpression } from './linear-expression.ts'
import type { Properties } from './model.ts'
import { FORMATS } from './property-formats.ts'
import { schemaPlaces, schemaProblems } from './schema-places.ts'

/** The schema of a type's properties, compiled. */
export interface PropertySchema {
  /** All that is wrong with properties, by pointers into them. Counts its steps against the budget. Throws nothing. */
  problems(properties: Properties, budget: Budget): readonly Problem[]
  /** False: it does not compile, and finds fault with everything. */
  readonly isSound: boolean
}

/** What is wrong with a schema, by pointers into it. */
export function checkSchema(schema: Properties): Problem[] {
  const problems = schemaProblems(schema)
  if (problems.length > 0) return problems
  if (metaSchema().validateSchema(schema) !== true) return problemsOf(metaSchema().errors ?? [])
  try {
    compile(schema)
    return []
  } catch (error) {
    const deep = error instanceof RangeError || !(error instanceof Error)
    return [{ pointer: '', detail: deep ? 'it refers too deep' : error.message }]
  }
}

// Shared by what decides and what writes: a schema is compiled once, whatever uses it.
const known = new LRUCache<string, PropertySchema>({ max: 1000 })

/** One that does not compile (another version wrote it, or a hand) finds fault with everything. */
export function compileSchema(schema: Properties): PropertySchema {
  const text = JSON.stringify(schema)
  const made = known.get(text) ?? makeSchema(schema)
  known.set(text, made)
  return made
}

function makeSchema(schema: Properties): PropertySchema {
  try {
    const validate = schemaProblems(schema).length > 0 ? undefined : compile(schema)
    if (validate !== undefined) {
      return { isSound: true, problems: (properties, of) => problemsWith(validate, properties, of) }
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error
  }
  return { isSound: false, problems: () => [{ pointer: '', detail: 'the schema of the type cannot be compiled' }] }
}

let meta: Ajv2020 | undefined

function metaSchema(): Ajv2020 {
  meta ??= new Ajv2020({ strict: false, logger: false, allErrors: true, validateFormats: false })
  return meta
}

const STEPS = 'x-steps'

const OPTIONS: Options = {
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  allowUnionTypes: true,
  // Strictness about this would run the schema's patterns on the engine that backtracks.
  allowMatchingProperties: true,
  allErrors: true,
  logger: false,
  meta: false,
  validateSchema: false,
  inlineRefs: false,
  // 19.99 is a multiple of 0.01, though its double is not.
  multipleOfPrecision: 9,
  // Else every object has a "constructor", and a "toString".
  ownProperties: true,
  formats: Object.fromEntries(FORMATS),
  // Unoptimised code takes a third of the time to compile, and as long to run.
  code: { regExp: Object.assign(expression, { code: 'expression' }), optimize: false },
}

// Checking is synchronous: what it spends is set before each and read by the keywords.
let budget = new Budget(0)

/** Ajv tells expressions apart by their text. */
function expression(pattern: string): { test(text: string): boolean; toString(): string } {
  const compiled = linearExpression(pattern)
  return { test: (text) => finds(compiled, text, budget), toString: () => pattern }
}

/** An Ajv for each: one for all would remember every schema, and let those of two tenants meet. It does not outlive this. */
function compile(schema: Properties): ValidateFunction {
  return compiler().compile(counted(schema))
}

function compiler(): Ajv2020 {
  const made = new Ajv2020(OPTIONS)
  // Ajv's own compares each item with each, or loses an item named "__proto__".
  made.removeKeyword('uniqueItems')
  made.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    errors: false,
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items),
  })
  made.addKeyword({ keyword: STEPS, schemaType: 'number', code: chargeStep })
  return made
}

/** A copy in which every schema says what applying it costs. */
function counted(schema: Properties): Properties {
  const copy: Properties = JSON.parse(JSON.stringify(schema))
  for (const place of schemaPlaces(copy).values()) {
    Object.assign(place.schema, { [STEPS]: costOf(place.schema), ...limitOf(place.schema) })
  }
  return copy
}

/** Stands where `maxContains` does not. */
const ANY_NUMBER = Number.MAX_SAFE_INTEGER

/** Without a limit Ajv takes, of an empty list, what it has found of the list before. */
function limitOf({ contains, minContains, maxContains }: Properties): Properties {
  return contains === undefined || minContains === 0 || maxContains !== undefined ? {} : { maxContains: ANY_NUMBER }
}

// In steps of 50 ns: what is right takes 1 or 2, and what is wrong, with the error that Ajv makes of it, up to 40.
const STEPS_FOR_EACH = 10

function costOf(schema: Properties): number {
  let cost = STEPS_FOR_EACH
  for (const [keyword, value] of Object.entries(schema)) {
    cost++
    if (keyword === 'properties' && isObject(value)) cost += Object.keys(value).length
    else if (keyword === 'enum' || keyword === 'const' || keyword === 'required' || keyword === 'dependentRequired')
      cost += JSON.stringify(value).length >> 4
  }
  return cost
}

function chargeStep({ gen, schema, data }: KeywordCxt): void {
  gen.code(_`${gen.scopeValue('func', { ref: step })}(${schema}, ${data})`)
}

function step(cost: number, value: unknown): void {
  charge(budget, cost + sizeOf(value))
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length >> 4
  if (Array.isArray(value)) return value.length >> 1
  return isObject(value) ? Object.keys(value).length : 0
}

function areUnique(items: readonly unknown[]): boolean {
  const seen = new Set<string>()
  for (const item of items) {
    const text = canonical(item)
    charge(budget, 32 + 2 * text.length)
    if (seen.has(text)) return false
    seen.add(text)
  }
  return true
}

/** The same text for equal values: members in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.keys(value).sort()
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
}

const TOO_COSTLY: readonly Problem[] = [{ pointer: '', detail: 'takes too many steps to be checked' }]
const NONE: readonly Problem[] = []

function problemsWith(validate: ValidateFunction, properties: Properties, of: Budget): readonly Problem[] {
  if (of.spent) return TOO_COSTLY
  budget = of
  try {
    return validate(properties) ? NONE : problemsOf(validate.errors ?? [])
  } catch (error) {
    // Out of steps, or (through references that go deep) out of stack.
    if (error instanceof Fault || error instanceof RangeError) return TOO_COSTLY
    throw error
  }
}

// A document can be wrong in as many places as it has; nobody reads more than these.
const MAX_PROBLEMS = 100

function problemsOf(errors: readonly ErrorObject[]): Problem[] {
  const first = errors.slice(0, 10 * MAX_PROBLEMS)
  const choices = first.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
  const problems = new Map<string, Problem>()
  for (const error of first) {
    // Of a choice that was not taken, each way in which it was not is an error too: the choice itself says enough.
    if (choices.some((choice) => isOf(choice, error))) continue
    const problem = problemOf(error)
    problems.set(JSON.stringify([problem.pointer, problem.detail]), problem)
    if (problems.size === MAX_PROBLEMS) break
  }
  return [...problems.values()]
}

function isOf(choice: ErrorObject, error: ErrorObject): boolean {
  return (
    error.schemaPath.startsWith(`${choice.schemaPath}/`) &&
    (error.instancePath === choice.instancePath || error.instancePath.startsWith(`${choice.instancePath}/`))
  )
}

/** Points at the member that is wrong or missing. Says what the schema says, never what the properties hold. */
function problemOf({ keyword, instancePath, params, message }: ErrorObject): Problem {
  const { missingProperty, additionalProperty, unevaluatedProperty, allowedValues } = params
  const member = missingProperty ?? additionalProperty ?? unevaluatedProperty
  const pointer = typeof member === 'string' ? `${instancePath}/${escaped(member)}` : instancePath
  if (missingProperty !== undefined) return { pointer, detail: 'is required' }
  if (member !== undefined) return { pointer, detail: 'is not declared' }
  if (keyword === 'enum') return { pointer, detail: `must be one of: ${clipped(JSON.stringify(allowedValues))}` }
  if (keyword === 'contains' && params['maxContains'] === ANY_NUMBER)
    return { pointer, detail: `must contain at least ${params['minContains']} valid item(s)` }
  if (keyword === 'uniqueItems') return { pointer, detail: 'must not hold an item twice' }
  if (keyword === 'anyOf' || keyword === 'oneOf') return { pointer, detail: `must match ${keyword} of its schema` }
  return { pointer, detail: clipped(message ?? 'is not valid') }
}

function clipped(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}
