import type { Problem } from '../failure.ts'
import { Fault } from './cel-values.ts'
import { escaped, isObject } from './json.ts'
import { linearExpression } from './linear-expression.ts'
import type { Properties } from './model.ts'
import { FORMATS } from './property-formats.ts'

/** What stands under a keyword: a schema, a list of them, schemas by name, or a plain value. */
type Holds = 'schema' | 'schemas' | 'named' | 'value'

const holds = (what: Holds, names: string): [string, Holds][] => names.split(' ').map((name) => [name, what])

/** The keywords of JSON Schema 2020-12 that a schema of properties may have. */
const KEYWORDS: ReadonlyMap<string, Holds> = new Map([
  ...holds('schema', 'not if then else items contains additionalProperties propertyNames'),
  ...holds('schema', 'unevaluatedItems unevaluatedProperties'),
  ...holds('schemas', 'allOf anyOf oneOf prefixItems'),
  ...holds('named', 'properties patternProperties dependentSchemas $defs definitions'),
  ...holds('value', 'type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum'),
  ...holds('value', 'maxLength minLength pattern format maxItems minItems uniqueItems maxContains minContains'),
  ...holds('value', 'maxProperties minProperties required dependentRequired $ref $schema $comment'),
  ...holds('value', 'title description default deprecated readOnly writeOnly examples'),
])

/** Applied to the very value that their own schema is applied to. */
const IN_PLACE: ReadonlySet<string> = new Set([
  'not',
  'if',
  'then',
  'else',
  'allOf',
  'anyOf',
  'oneOf',
  'dependentSchemas',
])

const REFERS_ELSEWHERE: ReadonlySet<string> = new Set([
  '$id',
  '$anchor',
  '$dynamicRef',
  '$dynamicAnchor',
  '$vocabulary',
])

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

const LIMITS = {
  characters: 64 * 1024,
  depth: 24,
  keywords: 1000,
  references: 100,
  patterns: 50,
  instructions: 10_000,
} as const

/** A schema within the document: where it is, and the schemas that apply to the same value as it does. */
export interface SchemaPlace {
  readonly schema: Properties
  readonly inPlace: readonly string[]
}

/**
 * What is wrong with a schema of properties beyond what its meta-schema says: keywords that nobody knows, references
 * that leave the document or come back to where they stand, patterns that are no RE2, and its size.
 */
export function schemaProblems(schema: Properties): Problem[] {
  if (JSON.stringify(schema).length > LIMITS.characters) {
    return [{ pointer: '', detail: `a schema has at most ${LIMITS.characters} characters` }]
  }
  const walk = new SchemaWalk()
  walk.visit('', schema, 0)
  return walk.problems.length > 0 ? walk.problems : [...walk.danglingReferences(), ...walk.endlessReferences()]
}

/** All schemas within a schema that has no problems, by their pointers. */
export function schemaPlaces(schema: Properties): ReadonlyMap<string, SchemaPlace> {
  const walk = new SchemaWalk()
  walk.visit('', schema, 0)
  return walk.places
}

class SchemaWalk {
  readonly problems: Problem[] = []
  readonly places = new Map<string, SchemaPlace>()
  readonly #references: { pointer: string; target: string }[] = []
  #keywords = 0
  #patterns = 0
  #instructions = 0

  visit(pointer: string, schema: unknown, depth: number): void {
    // What is neither an object nor true or false is the meta-schema's to refuse.
    if (!isObject(schema)) return
    if (depth > LIMITS.depth) {
      this.#problem(pointer, `schemas nest at most ${LIMITS.depth} deep`)
      return
    }
    const inPlace: string[] = []
    this.places.set(pointer, { schema, inPlace })
    for (const [keyword, value] of Object.entries(schema)) {
      if (++this.#keywords > LIMITS.keywords) {
        this.#tooMany(pointer)
        return
      }
      const at = `${pointer}/${escaped(keyword)}`
      const below = this.#below(at, keyword, value)
      for (const place of below) this.visit(place.pointer, place.schema, depth + 1)
      if (IN_PLACE.has(keyword)) inPlace.push(...below.map((place) => place.pointer))
      if (keyword === '$ref' && typeof value === 'string') inPlace.push(this.#refer(at, value))
    }
  }

  danglingReferences(): Problem[] {
    return this.#references
      .filter(({ target }) => !this.places.has(target))
      .map(({ pointer }) => ({ pointer, detail: 'refers to no schema of this document' }))
  }

  /** References that come back to the same value would be followed for ever. */
  endlessReferences(): Problem[] {
    const done = new Set<string>()
    const open = new Set<string>()
    const endless = (at: string): boolean => {
      if (open.has(at)) return true
      if (done.has(at)) return false
      open.add(at)
      const found = (this.places.get(at)?.inPlace ?? []).some(endless)
      open.delete(at)
      done.add(at)
      return found
    }
    const found = [...this.places.keys()].find(endless)
    return found === undefined ? [] : [{ pointer: found, detail: 'refers to itself without an end' }]
  }

  /** The schemas under a keyword; what is wrong with the keyword is noted. */
  #below(at: string, keyword: string, value: unknown): { pointer: string; schema: unknown }[] {
    const kind = KEYWORDS.get(keyword)
    if (kind === undefined) this.#problem(at, unknownKeyword(keyword))
    if (kind === 'value') this.#checkValue(at, keyword, value)
    if (kind === 'schema') return [{ pointer: at, schema: value }]
    if (kind === 'schemas') return listed(at, value)
    if (kind !== 'named' || !isObject(value)) return []
    return Object.entries(value).map(([name, schema]) => this.#named(at, keyword, name, schema))
  }

  #named(at: string, keyword: string, name: string, schema: unknown): { pointer: string; schema: unknown } {
    const pointer = `${at}/${escaped(name)}`
    if (++this.#keywords > LIMITS.keywords) this.#tooMany(pointer)
    if (name === '__proto__') this.#problem(pointer, 'a property may not be named "__proto__"')
    if (keyword === 'patternProperties') this.#checkPattern(pointer, name)
    return { pointer, schema }
  }

  #checkValue(at: string, keyword: string, value: unknown): void {
    if (keyword === 'pattern' && typeof value === 'string') this.#checkPattern(at, value)
    if (keyword === 'format' && typeof value === 'string' && !FORMATS.has(value)) {
      this.#problem(at, `is none of the formats: ${[...FORMATS.keys()].join(', ')}`)
    }
    if (keyword === '$schema' && (at !== '/$schema' || value !== DIALECT)) this.#problem(at, `must be ${DIALECT}`)
    if (keyword === '$ref' && typeof value === 'string' && !value.startsWith('#')) {
      this.#problem(at, 'refers outside the document: only "#/…" is followed')
    }
  }

  #checkPattern(at: string, pattern: string): void {
    if (++this.#patterns > LIMITS.patterns) {
      this.#problem(at, `a schema has at most ${LIMITS.patterns} patterns`)
      return
    }
    try {
      this.#instructions += linearExpression(pattern).programSize()
      if (this.#instructions > LIMITS.instructions) this.#problem(at, 'the patterns of the schema are too large')
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      this.#problem(at, error.message)
    }
  }

  #refer(pointer: string, reference: string): string {
    const target = decoded(reference)
    if (this.#references.length === LIMITS.references) {
      this.#problem(pointer, `a schema has at most ${LIMITS.references} references`)
    }
    this.#references.push({ pointer, target })
    return target
  }

  #tooMany(pointer: string): void {
    if (this.#keywords === LIMITS.keywords + 1) {
      this.#problem(pointer, `a schema has at most ${LIMITS.keywords} keywords and properties`)
    }
  }

  #problem(pointer: string, detail: string): void {
    this.problems.push({ pointer, detail })
  }
}

function unknownKeyword(keyword: string): string {
  return REFERS_ELSEWHERE.has(keyword)
    ? 'is not taken: a schema has no other name, and refers by "$ref": "#/…" alone'
    : 'is no keyword of JSON Schema 2020-12 that is known here'
}

function listed(at: string, value: unknown): { pointer: string; schema: unknown }[] {
  return Array.isArray(value) ? value.map((schema, place) => ({ pointer: `${at}/${place}`, schema })) : []
}

/** The pointer of a reference within the document; one that cannot be read refers to nothing. */
function decoded(reference: string): string {
  try {
    return decodeURIComponent(reference.slice(1))
  } catch {
    return '\uffff'
  }
}
