import type { Problem } from '../failure.ts'
import type { CompiledRule } from './compiled-rule.ts'
import type { Permission } from './model.ts'
import { idPattern, isVague, SHORTEST_LITERAL } from './pattern.ts'

/**
 * A pattern of ids without a literal that could be looked for is compared with the id of every request about its type
 * and action. So many rules (or permissions) of one type and one action, each as written, may have such patterns.
 */
export const VAGUE_AT_MOST = 1000

type Parts = Pick<Permission, 'actions' | 'resources'>

/** The rules of an index that have vague patterns, by type of resource. */
export class VagueRules {
  readonly #byType = new Map<string, Set<CompiledRule>>()

  add(rule: CompiledRule): void {
    for (const { type, id } of rule.resources) {
      if (id === undefined || !isVague(id)) continue
      const ofType = this.#byType.get(type)
      if (ofType === undefined) this.#byType.set(type, new Set([rule]))
      else ofType.add(rule)
    }
  }

  remove(rule: CompiledRule): void {
    for (const { type } of rule.resources) {
      const ofType = this.#byType.get(type)
      ofType?.delete(rule)
      if (ofType?.size === 0) this.#byType.delete(type)
    }
  }

  /** A rule about several types comes once for each. */
  *all(): Generator<readonly [type: string, rule: CompiledRule]> {
    for (const [type, rules] of this.#byType) for (const rule of rules) yield [type, rule]
  }

  of(type: string): Iterable<CompiledRule> {
    return this.#byType.get(type) ?? []
  }
}

/** Counts rules with vague patterns, by type and action. */
export class VagueCount {
  readonly #byType = new Map<string, Map<string, number>>()

  /** Counts a rule of an index that has vague patterns of ids of this type. */
  note(type: string, { actions }: CompiledRule): void {
    for (const text of new Set(actions.map((action) => action.text))) this.#add(type, text)
  }

  /** Counts a rule, and says where it is one too many. Pointers go into the rule. */
  add({ actions, resources }: Parts): Problem[] {
    const problems: Problem[] = []
    for (const [type, place] of vagueTypes(resources)) {
      const full = [...new Set(actions)].filter((action) => this.#add(type, action) > VAGUE_AT_MOST)
      const [first] = full
      if (first !== undefined) problems.push({ pointer: `/resources/${place}/id`, detail: tooMany(type, first) })
    }
    return problems
  }

  #add(type: string, action: string): number {
    const ofType = this.#byType.get(type) ?? new Map<string, number>()
    this.#byType.set(type, ofType)
    const count = (ofType.get(action) ?? 0) + 1
    ofType.set(action, count)
    return count
  }
}

/** The types of which a vague pattern is written, and where the first of each stands. */
export function vagueTypes(resources: Parts['resources']): Map<string, number> {
  const places = new Map<string, number>()
  resources.forEach(({ type, id }, place) => {
    if (id !== undefined && !places.has(type) && isVague(idPattern(id))) places.set(type, place)
  })
  return places
}

function tooMany(type: string, action: string): string {
  const most = VAGUE_AT_MOST.toLocaleString('en')
  return (
    `has no run of ${SHORTEST_LITERAL} plain characters by which it could be found, ` +
    `and ${most} rules about the type ${type} and the action ${action} have none already`
  )
}
