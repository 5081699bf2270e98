import { CompiledPolicy, type CompiledRule } from './compiled-rule.ts'
import type { Compiler } from './compiler.ts'
import type { Question } from './question.ts'
import { asRule, type Per } from './quota.ts'
import { RuleIndex } from './rule-index.ts'
import type { SoundQuota } from './soundness.ts'
import type { VagueRules } from './vague-rules.ts'

/** Where quotas stand among rules. No policy has this name. */
export const QUOTAS = 'pdp:quotas'

/** A quota, ready to be decided by. Another object after each change of it. */
export interface CompiledQuota {
  readonly name: string
  readonly per: Per
  readonly limit: number
  /** Of a static limit. */
  readonly requested: string | undefined
  /** Of a counter. */
  readonly window_seconds: number | undefined
  readonly cost: string | undefined
  /** Something of it cannot be read: whatever it matches is beyond it. */
  readonly broken: boolean
  readonly rule: CompiledRule
}

/**
 * The quotas of a tenant, found as rules are: by the keys and sites of an index of their own, over the keys that rules
 * have, so that the marks which a decision left tell for whom they hold. A quota restricts: where it cannot be told
 * whether its subject holds, it counts.
 */
export class QuotaIndex {
  readonly #compiler: Compiler
  readonly #rules: RuleIndex
  readonly #vague: VagueRules
  readonly #policy = new CompiledPolicy(QUOTAS)
  readonly #byName = new Map<string, CompiledQuota>()
  readonly #byRule = new Map<CompiledRule, CompiledQuota>()

  /** `rules` tells those who know what hangs on which key. */
  constructor(compiler: Compiler, rules: RuleIndex, vague: VagueRules) {
    this.#compiler = compiler
    this.#rules = new RuleIndex(compiler.any, rules.limits, rules.hung)
    this.#vague = vague
  }

  get isEmpty(): boolean {
    return this.#byName.size === 0
  }

  /** Undefined: there is none of this name, or it is off. */
  named(name: string): CompiledQuota | undefined {
    return this.#byName.get(name)
  }

  /** Undefined: there is none of this name any more, or it is off. */
  put(name: string, sound: SoundQuota | undefined): void {
    const old = this.#byName.get(name)
    if (sound !== undefined) this.#add(name, sound)
    else this.#byName.delete(name)
    if (old !== undefined) this.#remove(old.rule)
  }

  /** Those that a request is about which has just been decided, in the order of their names. */
  matching(question: Question): CompiledQuota[] {
    const rules: CompiledRule[] = []
    this.#rules.collect(question, rules)
    const quotas: CompiledQuota[] = []
    for (const rule of rules) {
      const quota = this.#byRule.get(rule)
      if (quota !== undefined) quotas.push(quota)
    }
    return quotas.length < 2 ? quotas : quotas.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #add(name: string, { document, broken }: SoundQuota): void {
    const { per = 'subject', limit, requested, window_seconds, cost } = document
    const rule = this.#compiler.rule(asRule(document), this.#policy)
    const quota = { name, per, limit, requested, window_seconds, cost, broken, rule }
    this.#rules.add(rule)
    this.#vague.add(rule)
    this.#byName.set(name, quota)
    this.#byRule.set(rule, quota)
  }

  #remove(rule: CompiledRule): void {
    this.#byRule.delete(rule)
    this.#rules.remove(rule)
    this.#vague.remove(rule)
    this.#compiler.release(rule)
  }
}
