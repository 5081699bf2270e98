import { STATUS_CODES } from 'node:http'
import Type, { type TSchema } from 'typebox'
import * as access from '../contract/access.ts'
import * as authenticate from '../contract/authenticate.ts'
import * as authorize from '../contract/authorize.ts'
import * as operation from '../contract/authorize-operation.ts'
import * as batch from '../contract/batch.ts'
import * as bundle from '../contract/bundle.ts'
import * as capabilities from '../contract/capabilities.ts'
import * as contexts from '../contract/contexts.ts'
import * as entities from '../contract/entities.ts'
import * as explain from '../contract/explain.ts'
import * as issuers from '../contract/issuers.ts'
import * as mask from '../contract/mask.ts'
import * as operations from '../contract/operations.ts'
import * as requests from '../contract/permission-requests.ts'
import * as policies from '../contract/policies.ts'
import * as quotas from '../contract/quotas.ts'
import * as tenants from '../contract/tenants.ts'
import * as types from '../contract/types.ts'
import * as capability from '../policy/capability.ts'
import * as context from '../policy/context/model.ts'
import * as explanation from '../policy/explanation.ts'
import { isObject } from '../policy/json.ts'
import * as model from '../policy/model.ts'
import * as quota from '../policy/quota.ts'
import * as quotaUse from '../policy/quota-use.ts'

const MODULES: readonly object[] = [
  model,
  explanation,
  capability,
  context,
  quota,
  quotaUse,
  access,
  authenticate,
  authorize,
  batch,
  operation,
  bundle,
  capabilities,
  contexts,
  entities,
  explain,
  issuers,
  mask,
  operations,
  requests,
  policies,
  quotas,
  tenants,
  types,
]

/** Shorter ones say more where they stand. */
const WORTH_A_NAME = 60

type Json = Readonly<Record<string, unknown>>

/**
 * Gives the schemas that have a name here a name in the document, and refers to them wherever they stand: a reader meets
 * `Rule` once, and a generator of clients makes one type of it. What a schema is called in the code is what it is called.
 */
export function withComponents(document: Json): Json {
  const names = namesOf(MODULES)
  const used = new Map<string, unknown>()
  const refer = (node: unknown, isDefinition = false): unknown => {
    if (Array.isArray(node)) return node.map((item) => refer(item))
    if (!isObject(node)) return node
    const text = JSON.stringify(node)
    const name = isDefinition ? undefined : names.get(text)
    if (name === undefined) return withMapping(node, members(node, refer))
    if (!used.has(name)) {
      // Its place is kept before its parts are looked at: one of them may be itself.
      used.set(name, undefined)
      used.set(name, refer(JSON.parse(text), true))
    }
    return { $ref: `#/components/schemas/${name}` }
  }
  const problems = new Map<string, unknown>()
  const paths = withProblems(refer(document['paths']), problems)
  const components = isObject(document['components']) ? document['components'] : {}
  const schemas = isObject(components['schemas']) ? components['schemas'] : {}
  const named = [...used].sort(([one], [other]) => (one < other ? -1 : 1))
  const responses = Object.fromEntries(problems)
  return {
    ...document,
    components: { ...components, schemas: { ...schemas, ...Object.fromEntries(named) }, responses },
    paths,
  }
}

function members(node: Json, made: (value: unknown) => unknown): Json {
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, made(value)]))
}

/** Which of the schemas that are named by now is meant by which value: what they are called does not say it. */
function withMapping({ discriminator, oneOf }: Json, named: Json): Json {
  if (!isObject(discriminator) || !Array.isArray(oneOf) || !Array.isArray(named['oneOf'])) return named
  const refs: readonly unknown[] = named['oneOf']
  const mapping = oneOf.map(({ properties }, at) => {
    const [value] = properties[String(discriminator['propertyName'])].enum
    const ref = refs[at]
    return [value, isObject(ref) ? ref['$ref'] : undefined]
  })
  return { ...named, discriminator: { ...discriminator, mapping: Object.fromEntries(mapping) } }
}

/** The error answers are the same on every route: each stands once, under its status' name. */
function withProblems(node: unknown, named: Map<string, unknown>): unknown {
  if (Array.isArray(node)) return node.map((item) => withProblems(item, named))
  if (!isObject(node)) return node
  const members = Object.entries(node).map(([key, value]) => {
    if (!isProblem(value)) return [key, withProblems(value, named)]
    const name = (STATUS_CODES[key] ?? key).replaceAll(/\W/g, '')
    // One that says more than its kind stays where it is.
    if (JSON.stringify(named.get(name) ?? value) !== JSON.stringify(value)) return [key, value]
    named.set(name, value)
    return [key, { $ref: `#/components/responses/${name}` }]
  })
  return Object.fromEntries(members)
}

function isProblem(answer: unknown): boolean {
  return (
    isObject(answer) && isObject(answer['content']) && Object.keys(answer['content'])[0] === 'application/problem+json'
  )
}

/** By their text; of two names for one schema the first. */
function namesOf(modules: readonly object[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const [name, schema] of modules.flatMap((module) => Object.entries(module))) {
    if (!isSchema(schema)) continue
    const text = JSON.stringify(published(schema))
    if (text.length >= WORTH_A_NAME && !names.has(text)) names.set(text, name)
  }
  return names
}

/** As the library writes it: a constant as a list of one, the one pattern of a record's names as any name. */
function published(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(published)
  if (!isObject(node)) return node
  const members = Object.entries(node).map(([key, value]): [string, unknown] => {
    if (key === 'const') return ['enum', [value]]
    if (key === 'patternProperties' && isObject(value))
      return ['additionalProperties', Object.values(value).map(published)[0]]
    return [key, published(value)]
  })
  return Object.fromEntries(members)
}

function isSchema(value: unknown): value is TSchema {
  return Type.IsSchema(value)
}
