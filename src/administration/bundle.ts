import { Failure, type Problem } from '../failure.ts'
import { carryOut } from './bundle/carry-out.ts'
import { type BundleDiff, diffOf } from './bundle/diff.ts'
import { type ReadBundle, SHOWN_PROBLEMS } from './bundle/document.ts'
import { type Exported, exportBundle, type Part } from './bundle/export.ts'
import { shownName } from './bundle/identity.ts'
import { type Plan, planOf } from './bundle/plan.ts'
import { referenceProblems } from './bundle/references.ts'
import { heldAgainstTypes } from './bundle/typed.ts'
import { storedThough, usesOfRemoved } from './bundle/uses.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { checkPrecondition } from './precondition.ts'
import { warned } from './representation.ts'
import type { Answer, Parts, Read, Write } from './write.ts'

export type { BundleDiff } from './bundle/diff.ts'
export { type ReadBundle, SECTIONS, type Section } from './bundle/document.ts'
export type { Exported, Part } from './bundle/export.ts'
export { readBundle } from './bundle/read.ts'
export { problemsAlone } from './bundle/references.ts'

export interface BundleAdministration {
  /** Makes the tenant what the bundle declares, in one revision, or changes nothing and says all that is wrong. */
  apply(write: Write, bundle: ReadBundle): Promise<Answer<BundleDiff>>
  /** The answer that `apply` would give, and nothing written. */
  rehearse(write: Write, bundle: ReadBundle): Promise<Answer<BundleDiff>>
  /** Hands over the whole policy at one revision, part by part. Without `settings` those are left out. */
  export(read: Read, settings: boolean, take: (part: Part) => void | Promise<void>): Promise<Exported>
}

export function bundleAdministration({ db }: Parts, change: Changer): BundleAdministration {
  return {
    apply: (write, bundle) =>
      change(write, async (at) => {
        const { plan, warnings } = await checkedPlan(at, bundle)
        await carryOut(at, plan)
        return outcome(at, warned(diffOf(plan, false), warnings))
      }),
    async rehearse(write, bundle) {
      const answer = await change(write, async (at) => {
        const { plan, warnings } = await checkedPlan(at, bundle)
        return outcome(at, warned(diffOf(plan, true), warnings))
      })
      // Nothing was written that could be late.
      return { ...answer, in_force: true }
    },
    export: ({ tenant }, settings, take) => exportBundle(db.of(tenant), tenant, settings, take),
  }
}

async function checkedPlan(change: Change, bundle: ReadBundle) {
  checkPrecondition(change.write.if_match, change.found.revision)
  if (bundle.settings !== null && !change.write.caller.roles.includes('pdp:admin')) {
    throw new Failure('forbidden', 'only who holds pdp:admin may apply a bundle with settings: leave the section out')
  }
  const plan = await planOf(change, bundle)
  const held = await heldAgainstTypes(change, bundle, plan)
  refuseAll(bundle, [
    ...held.problems,
    ...(await referenceProblems(change, bundle, plan)),
    ...(await usesOfRemoved(change, bundle, plan)),
    ...(await storedThough(change, bundle)),
  ])
  return { plan, warnings: [...madeByHand(plan), ...held.warnings].slice(0, SHOWN_WARNINGS) }
}

/** Who exports a policy and takes a grant out of the file is to know that it stays. */
function madeByHand({ byHand: { entities, assignments } }: Plan): Problem[] {
  return [
    ...staying('/entities', entities.length, entities.slice(0, SHOWN_NAMES).map(shownName.entities)),
    ...staying('/assignments', assignments.length, assignments.slice(0, SHOWN_NAMES).map(shownName.assignments)),
  ]
}

function staying(pointer: string, count: number, names: readonly string[]): Problem[] {
  if (count === 0) return []
  const which = count > names.length ? `${names.join(', ')}, …` : names.join(', ')
  const detail = `${count} made by hand and not by a bundle (${which}): one that is left out later is not deleted`
  return [{ pointer, detail }]
}

const SHOWN_NAMES = 3

const SHOWN_WARNINGS = 100

/** Tells what is wrong with the bundle by itself together with what is wrong in this tenant. */
function refuseAll({ problems, more }: ReadBundle, found: readonly Problem[]): void {
  const all = new Map<string, Problem>()
  for (const problem of [...problems, ...found]) all.set(JSON.stringify([problem.pointer, problem.detail]), problem)
  const count = all.size + more
  if (count === 0) return
  const told = [...all.values()].slice(0, SHOWN_PROBLEMS)
  const listed = count > told.length ? `; the first ${told.length} are listed` : ''
  const message = `the bundle has ${count === 1 ? 'a problem' : `${count} problems`}: nothing was written${listed}`
  throw new Failure('unprocessable', message, { problems: told })
}

function outcome({ revision, found, tenant: id }: Change, body: BundleDiff): Outcome<BundleDiff> {
  const isMade = !body.dry_run && body.added + body.changed + body.removed > 0
  return { status: 200, body, version: isMade ? revision : found.revision, id }
}
