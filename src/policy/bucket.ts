import { found, type Wanted } from './candidate.ts'
import type { CompiledRule } from './compiled-rule.ts'
import type { Key } from './key.ts'
import { WideMap } from './wide-map.ts'

interface Filed {
  readonly key: Key
  readonly rule: CompiledRule
}

export type BySubject = WideMap<Key, CompiledRule | Set<CompiledRule>>

/** Rules of one key and one site, by subject: a short list; past that a map. */
export class Bucket {
  #rules: Filed[] | BySubject = []

  get isEmpty(): boolean {
    return (this.#rules instanceof WideMap ? this.#rules.size : this.#rules.length) === 0
  }

  /** `few`: how long the list may become. */
  add(key: Key, rule: CompiledRule, few: number): void {
    if (this.#rules instanceof WideMap) addTo(this.#rules, key, rule)
    else {
      this.#rules.push({ key, rule })
      if (this.#rules.length > few) this.#rules = bySubject(this.#rules)
    }
  }

  remove(key: Key, rule: CompiledRule): void {
    if (this.#rules instanceof WideMap) removeFrom(this.#rules, key, rule)
    else this.#rules = this.#rules.filter((filed) => filed.rule !== rule || filed.key !== key)
  }

  /** Pushes the rules whose subject matches. */
  collect(wanted: Wanted, into: CompiledRule[]): void {
    const rules = this.#rules
    if (rules instanceof WideMap) collectFrom(rules, wanted, into)
    else for (const { key, rule } of rules) found(rule, key, wanted, into)
  }

  *rules(): Generator<CompiledRule> {
    if (!(this.#rules instanceof WideMap)) for (const { rule } of this.#rules) yield rule
    else for (const rules of this.#rules.values()) yield* rules instanceof Set ? rules : [rules]
  }
}

function bySubject(list: readonly Filed[]): BySubject {
  const map: BySubject = new WideMap((key) => key.hash)
  for (const { key, rule } of list) addTo(map, key, rule)
  return map
}

function collectFrom(rules: BySubject, wanted: Wanted, into: CompiledRule[]): void {
  const { few, many } = wanted.subject
  for (const key of few) foundOf(rules, key, wanted, into)
  for (const keys of many) for (const key of keys.among(rules)) foundOf(rules, key, wanted, into)
  for (const key of wanted.besides) foundOf(rules, key, wanted, into)
}

function foundOf(rules: BySubject, key: Key, wanted: Wanted, into: CompiledRule[]): void {
  const of = rules.get(key)
  if (of !== undefined) foundAll(of, key, wanted, into)
}

function foundAll(rules: CompiledRule | Set<CompiledRule>, key: Key, wanted: Wanted, into: CompiledRule[]): void {
  if (rules instanceof Set) for (const rule of rules) found(rule, key, wanted, into)
  else found(rules, key, wanted, into)
}

function addTo(map: BySubject, key: Key, rule: CompiledRule): void {
  const there = map.get(key)
  if (there === undefined) map.set(key, rule)
  else if (there instanceof Set) there.add(rule)
  else map.set(key, new Set([there, rule]))
}

function removeFrom(map: BySubject, key: Key, rule: CompiledRule): void {
  const there = map.get(key)
  if (there === rule) map.delete(key)
  else if (there instanceof Set && there.delete(rule) && there.size === 0) map.delete(key)
}
