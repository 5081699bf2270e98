import type { Static, TObject, TProperties } from 'typebox'
import type { Problem } from '../failure.ts'
import { isObject } from './json.ts'
import { schemaCheck, schemaTest } from './validate.ts'

/** A document that need not be what its schema says, read member by member. */
export interface Reading<P extends TProperties> {
  /** Undefined: it is absent, and may be. `closed` stands for what cannot be read. */
  read<K extends keyof P & string, C>(member: K, closed: C): Static<P[K]> | C | undefined
  /** Every member is known, and its name is the one that it is kept by. */
  readonly isFamiliar: boolean
}

export interface Reader<P extends TProperties> {
  /** Why a document that is kept by `name` is not what its schema says; undefined: it is. */
  fault(document: unknown, name?: string): string | undefined
  reading(document: unknown, name?: string): Reading<P>
}

// What callers send is refused beyond 32: what is deeper was put there by hand, and would not survive being answered.
const MAX_DEPTH = 64

export function reader<P extends TProperties>(schema: TObject<P>): Reader<P> {
  const check = schemaCheck(schema)
  const fits = schemaTest(schema)
  const { required = [] }: { readonly required?: unknown } = schema
  const isRequired = (member: string) => Array.isArray(required) && required.includes(member)
  const members = new Map(Object.entries(schema.properties).map(([member, of]) => [member, schemaCheck(of)]))
  const open = Object.entries(schema.properties).flatMap(([member, of]) => (isOpen(of) ? [member] : []))
  const isNamed = (document: object, name: string | undefined) =>
    name === undefined || memberOf(document, 'name') === name
  return {
    fault(document, name) {
      const [problem] = fits(document) ? [] : check(document)
      if (problem !== undefined) return told(problem)
      if (!isObject(document)) return undefined
      if (!isNamed(document, name)) return '/name: is not the name that it is kept by'
      for (const member of open) {
        if (isDeeper(memberOf(document, member), MAX_DEPTH - 1)) return `nested more than ${MAX_DEPTH} deep`
      }
      return undefined
    },
    reading(document, name) {
      // What does not even say its name may be anything.
      const isIt = isObject(document) && isNamed(document, name)
      const isFamiliar = isIt && Object.keys(document).every((member) => members.has(member))
      return {
        isFamiliar,
        read(member, closed) {
          if (!isIt) return closed
          const value = memberOf(document, member)
          if (value === undefined) return isRequired(member) ? closed : undefined
          const isSound = members.get(member)?.(value).length === 0 && !isDeeper(value, MAX_DEPTH)
          // Its schema has just been checked.
          return isSound ? (value as Static<P[typeof member]>) : closed
        },
      }
    },
  }
}

const SCALARS: readonly unknown[] = ['string', 'integer', 'number', 'boolean', 'null']

/** Whether what fits the schema may be of any depth, as far as can be told. */
function isOpen(schema: unknown): boolean {
  if (!isObject(schema)) return true
  const { type, anyOf, items, properties, additionalProperties } = schema
  if (Array.isArray(anyOf)) return anyOf.some(isOpen)
  if (type === 'array') return isOpen(items)
  if (type !== 'object') return !SCALARS.includes(type)
  return additionalProperties !== false || !isObject(properties) || Object.values(properties).some(isOpen)
}

export function memberOf(document: unknown, member: string): unknown {
  return isObject(document) && Object.hasOwn(document, member) ? document[member] : undefined
}

export function told({ pointer, detail }: Problem): string {
  return pointer === '' ? detail : `${pointer}: ${detail}`
}

function isDeeper(value: unknown, than: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (than === 0) return true
  for (const each of Object.values(value)) {
    if (typeof each === 'object' && each !== null && isDeeper(each, than - 1)) return true
  }
  return false
}
