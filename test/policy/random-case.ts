import type { PolicyChange } from '../../src/policy/change.ts'
import type { Bundle } from '../../src/policy/model.ts'
import type { IndexLimits } from '../../src/policy/rule-index.ts'
import { Dice } from './dice.ts'
import { RandomPolicy } from './random-policy.ts'
import { type Asked, ask } from './random-question.ts'

/** Something that is put or removed after loading, in place. */
export type Edit = Extract<PolicyChange, { kind: 'settings' | 'type' | 'policy' | 'role' | 'rule' }>

/** A random policy and a question; the same seed makes the same. */
export interface Case {
  readonly seed: number
  readonly bundle: Bundle
  readonly edits: readonly Edit[]
  readonly asked: Asked
}

export function caseOf(seed: number): Case {
  const dice = new Dice(seed)
  const random = new RandomPolicy(dice)
  const bundle = random.bundle()
  const edits = dice.chance(2) ? dice.some(8, () => randomEdit(dice, random), 1) : []
  return { seed, bundle, edits, asked: ask(dice, bundle) }
}

export function randomEdit(dice: Dice, random: RandomPolicy): Edit {
  const after = <T>(made: T): T | null => (dice.chance(3) ? null : made)
  const which = dice.below(17)
  const changed = { operation: 'update', before: null } as const
  if (which === 16) return { kind: 'settings', key: null, after: random.settings(), ...changed }
  if (which < 2) return { kind: 'policy', ...named(random.policy(), after), ...changed }
  if (which < 4) return { kind: 'type', ...named(random.type(), after), ...changed }
  if (which < 8) return { kind: 'role', ...named(random.role(), after), ...changed }
  return { kind: 'rule', ...named(random.rule(), after), ...changed }
}

function named<T extends { readonly name: string }>(made: T, after: (made: T) => T | null) {
  return { key: { name: made.name }, after: after(made) }
}

export const SECTIONS = { type: 'types', policy: 'policies', role: 'roles', rule: 'rules' } as const

/** The documents as they stand after the edits. */
export function edited({ bundle, edits }: Pick<Case, 'bundle' | 'edits'>): Bundle {
  let now = bundle
  for (const one of edits) {
    if (one.kind === 'settings') now = { ...now, settings: one.after ?? {} }
    else {
      const section = SECTIONS[one.kind]
      const others = (now[section] ?? []).filter(({ name }) => name !== one.key.name)
      now = { ...now, [section]: one.after === null ? others : [...others, one.after] }
    }
  }
  return now
}

/** Small limits, so that small policies see every way in which the index files. */
export const SMALL: readonly [IndexLimits, ...IndexLimits[]] = [
  { filings: 2000, list: 8, marked: 16 },
  { filings: 2, list: 8, marked: 0 },
  { filings: 2000, list: 0, marked: 16 },
  { filings: 1, list: 0, marked: 1 },
  { filings: 2000, list: 1, marked: 2 },
]

/** Leaves out whatever can be left out with the failure still there. */
export function smaller(made: Case, fails: (made: Case) => boolean): Case {
  for (const section of ['types', 'policies', 'roles', 'rules', 'entities', 'assignments'] as const) {
    const items = made.bundle[section] ?? []
    for (const item of items) {
      const bundle = { ...made.bundle, [section]: items.filter((other) => other !== item) }
      if (fails({ ...made, bundle })) return smaller({ ...made, bundle }, fails)
    }
  }
  for (const item of made.edits) {
    const edits = made.edits.filter((other) => other !== item)
    if (fails({ ...made, edits })) return smaller({ ...made, edits }, fails)
  }
  return made
}
