import { expect, test } from 'vitest'
import type { PolicyChange } from '../../src/policy/change.ts'
import { CLEAR } from '../../src/policy/condition-trace.ts'
import { decide } from '../../src/policy/decide.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, type LoadedBundle, loadBundle } from '../../src/policy/in-memory.ts'
import type { Bundle } from '../../src/policy/model.ts'
import { created } from '../../src/snapshot/draft.ts'
import type { StoredDocument } from '../../src/snapshot/source.ts'
import { Dice } from '../policy/dice.ts'
import { RandomPolicy } from '../policy/random-policy.ts'
import { ask } from '../policy/random-question.ts'

/** A document as it is stored, and where in its tenant. */
interface Row {
  readonly kind: StoredDocument['kind']
  readonly name: string
  readonly document: unknown
}

function rowsOf({ settings, types = [], policies = [], roles = [], rules = [] }: Bundle): Row[] {
  const named = (kind: StoredDocument['kind'], documents: readonly { readonly name: string }[]) =>
    documents.map((document) => ({ kind, name: document.name, document }))
  return [
    ...(settings === undefined ? [] : [{ kind: 'settings' as const, name: '', document: settings }]),
    ...named('type', types),
    ...named('policy', policies),
    ...named('role', roles),
    ...named('rule', rules),
  ]
}

const JUNK: readonly unknown[] = [
  null,
  true,
  0,
  -1.5,
  1e308,
  '',
  'x',
  'pdp:admin',
  '\u0000',
  'a\\',
  [],
  [null],
  ['x'],
  [[]],
  {},
  { type: 1 },
  { any: false },
  { __proto__: null, constructor: 1 },
  { role: {} },
  nested(200),
]

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { properties: nested(depth - 1) }
}

/** The document with one thing in it, at any depth, replaced, taken away or put beside it. */
function mutated(document: unknown, dice: Dice): unknown {
  if (typeof document !== 'object' || document === null || dice.chance(6)) return JUNK[dice.below(JUNK.length)]
  if (Array.isArray(document)) {
    const at = dice.below(document.length + 1)
    return [...document.slice(0, at), mutated(document[at], dice), ...document.slice(at + 1)]
  }
  const members = Object.keys(document)
  const member = members[dice.below(members.length + 1)]
  if (member === undefined) return { ...document, stranger: JUNK[dice.below(JUNK.length)] }
  const { [member]: value, ...others } = document as Record<string, unknown>
  return dice.chance(4) ? others : { ...others, [member]: mutated(value, dice) }
}

function put({ index }: LoadedBundle, { kind, name, document }: Row): void {
  const change: PolicyChange = created({ kind, name, text: JSON.stringify(document) })
  index.apply(change)
}

/** More of them: `VERDICT_TEST_POLICIES=100000 npx vitest run test/snapshot/quarantine`. */
const RUNS = Number(process.env['VERDICT_TEST_POLICIES'] ?? 800)
// Most of the time goes into compiling policies: each is spoiled in several ways, one after the other.
const SPOILED = 4
const QUESTIONS = 4

/**
 * The property: P is a policy, and P' is P with one place of one document changed, where the document had no fault and
 * has one now. What P' allows, P allows. So an error never becomes an allow, whatever the document was for.
 */
test('what cannot be read of a document never allows what the document would not have', { timeout: 3_600_000 }, () => {
  const quarantined = new Map<StoredDocument['kind'], number>()
  let denied = 0
  for (let seed = 0; seed < RUNS; seed++) {
    const dice = new Dice(seed)
    const bundle = new RandomPolicy(dice).bundle()
    const rows = rowsOf(bundle)
    const loaded = loadBundle(bundle)
    const { index, lookup } = loaded
    const faults = index.quarantined
    const questions = Array.from({ length: QUESTIONS }, () => ask(dice, bundle))
    const answers = () => questions.map(({ request, now }) => decide(index, factsFor(lookup, request), request, now))
    const before = answers()
    for (let count = 0; count < SPOILED; count++) {
      const row = rows[dice.below(rows.length)]
      if (row === undefined || index.quarantine.reason(row.kind, row.name) !== undefined) continue
      const document = mutated(row.document, dice)
      put(loaded, { ...row, document })
      if (index.quarantine.reason(row.kind, row.name) !== undefined) {
        quarantined.set(row.kind, (quarantined.get(row.kind) ?? 0) + 1)
        const after = answers()
        const shown = () => JSON.stringify({ seed, row, document, questions, before, after, bundle }, null, 1)
        const isAllowed = after.some(({ decision }, at) => decision && before[at]?.decision !== true)
        if (isAllowed) expect.fail(shown())
        denied += after.filter(({ decision }, at) => !decision && before[at]?.decision === true).length
        for (const { request, now } of questions.slice(0, 1)) {
          const told = explain(index, factsFor(lookup, request), request, now, lookup, CLEAR)
          expect(told.decision).toEqual(after[0])
        }
      }
      // What is put right is as if it had never been wrong.
      put(loaded, row)
      expect(index.quarantine.reason(row.kind, row.name)).toBe(undefined)
      expect(index.quarantined).toBe(faults)
    }
    expect(answers()).toEqual(before)
  }
  expect(
    Math.min(...(['settings', 'type', 'policy', 'role', 'rule'] as const).map((kind) => quarantined.get(kind) ?? 0)),
  ).toBeGreaterThan(20)
  expect(denied).toBeGreaterThan(100)
})
