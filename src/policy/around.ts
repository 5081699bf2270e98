import type { Wanted } from './candidate.ts'
import type { CompiledRule } from './compiled-rule.ts'
import type { Compiler } from './compiler.ts'
import type { Key } from './key.ts'

/**
 * The rules around a request, nearest first: those that are found by its resource, for whomever and about whatever; those
 * that are found by its subject; by other roles and subjects; by other ids of its type, and by what else resources are
 * in; by ids of other types. Each step of the walk yields, `undefined` where it came upon no rule, so that whoever walks
 * can stop after so many steps.
 */
export function around(shared: Compiler, wanted: Wanted): Iterable<CompiledRule | undefined>[] {
  const { any, subjects, roles, ancestors, ids } = shared
  const ofType = [wanted.type, '*'].flatMap((type) => ids.get(type) ?? [])
  const ofOtherTypes = (function* () {
    for (const [type, keys] of ids) yield* type === wanted.type || type === '*' ? NOTHING : keys.keys()
  })()
  return [
    rulesOf(wanted.resource.all),
    rulesOf([any, ...wanted.subject.all, ...wanted.besides]),
    rulesOf(roles.keys()),
    rulesOf(subjects.keys()),
    ...ofType.map((keys) => rulesOf(keys.keys())),
    rulesOf(ancestors.keys()),
    rulesOf(ofOtherTypes),
  ]
}

const NOTHING: readonly undefined[] = Object.freeze([undefined])

function* rulesOf(keys: Iterable<Key | undefined>): Generator<CompiledRule | undefined> {
  for (const key of keys) {
    yield undefined
    if (key !== undefined) yield* key.rules()
  }
}
