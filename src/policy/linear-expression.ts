import { LRUCache } from 'lru-cache'
import type { RE2JS } from 're2js'
import { regularExpression } from './cel-functions.ts'

// A schema is compiled when it is written and again where it is decided by: its patterns only once.
const compiled = new LRUCache<string, RE2JS>({ max: 500 })

/** A pattern of a schema, compiled for the engine that takes linear time. Throws what is wrong with it. */
export function linearExpression(pattern: string): RE2JS {
  const known = compiled.get(pattern)
  if (known !== undefined) return known
  const made = regularExpression(pattern)
  compiled.set(pattern, made)
  return made
}
