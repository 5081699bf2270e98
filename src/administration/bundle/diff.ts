import type { Problem } from '../../failure.ts'
import { same } from '../normal.ts'
import type { Documents, Section } from './document.ts'
import { SECTIONS } from './document.ts'
import { shownName } from './identity.ts'
import type { Changed, Plan, SectionPlan } from './plan.ts'

/** How many things of each kind a bundle adds, changes, removes and finds as they are. */
export interface Counts {
  readonly added: number
  readonly changed: number
  readonly removed: number
  readonly unchanged: number
}

export interface BundleDiff extends Counts {
  readonly dry_run: boolean
  /** The sections that the bundle declares. */
  readonly sections: { readonly [S in Section | 'settings']?: SectionDiff }
  /** Of what is added or changed: what is worth telling, and keeps it from nothing. */
  readonly warnings?: readonly Problem[]
}

export interface SectionDiff extends Counts {
  /** One for each thing that differs, up to a number. */
  readonly differences: readonly Difference[]
  /** How many there are beyond those. */
  readonly more: number
}

export interface Difference {
  readonly change: 'added' | 'changed' | 'removed'
  readonly name: string
  /** Of what is changed: the members that differ. */
  readonly members?: readonly MemberDifference[]
}

/** An absent side: the member was not there, or is not any more; with `values: "omitted"` both are left out. */
export interface MemberDifference {
  readonly member: string
  readonly before?: unknown
  readonly after?: unknown
  readonly values?: 'omitted'
}

// An answer is for somebody to read, and is kept for 24 hours with an Idempotency-Key: the change log has it all.
const LISTED = 1_000
const VALUES = 256 * 1024

export function diffOf(plan: Plan, dryRun: boolean): BundleDiff {
  const room = { left: VALUES }
  const sections: { [S in Section | 'settings']?: SectionDiff } = {}
  if (plan.settings !== null) sections.settings = settingsDiff(plan.settings, room)
  for (const section of SECTIONS) {
    const found = sectionDiff(section, plan, room)
    if (found !== undefined) sections[section] = found
  }
  return { dry_run: dryRun, ...sumOf(Object.values(sections)), sections }
}

interface Room {
  left: number
}

function settingsDiff(settings: NonNullable<Plan['settings']>, room: Room): SectionDiff {
  if (settings === 'unchanged') return { added: 0, changed: 0, removed: 0, unchanged: 1, differences: [], more: 0 }
  const difference = changed('settings', settings, room)
  return { added: 0, changed: 1, removed: 0, unchanged: 0, differences: [difference], more: 0 }
}

function sectionDiff<S extends Section>(section: S, plan: Plan, room: Room): SectionDiff | undefined {
  // Each section's plan is about its own documents; the compiler loses sight of that over the union of all.
  const found = plan[section] as SectionPlan<Documents[S]> | undefined
  if (found === undefined) return undefined
  const { added, changed: changes, removed, unchanged } = found
  const nameOf = shownName[section]
  const differences = [
    ...changes.slice(0, LISTED).map((one) => changed(nameOf(one.after), one, room)),
    ...removed.slice(0, LISTED).map((one) => ({ change: 'removed' as const, name: nameOf(one) })),
    ...added.slice(0, LISTED).map((one) => ({ change: 'added' as const, name: nameOf(one) })),
  ].slice(0, LISTED)
  const counts = { added: added.length, changed: changes.length, removed: removed.length, unchanged }
  return { ...counts, differences, more: added.length + changes.length + removed.length - differences.length }
}

function changed<T extends object>(name: string, { before, after }: Changed<T>, room: Room): Difference {
  const [was, is] = [new Map(Object.entries(before)), new Map(Object.entries(after))]
  const names = [...new Set([...was.keys(), ...is.keys()])].filter((member) => !same(was.get(member), is.get(member)))
  const members = names.map((member): MemberDifference => {
    const values = {
      ...(was.has(member) && { before: was.get(member) }),
      ...(is.has(member) && { after: is.get(member) }),
    }
    room.left -= JSON.stringify(values).length
    return room.left < 0 ? { member, values: 'omitted' } : { member, ...values }
  })
  return { change: 'changed', name, members }
}

function sumOf(sections: readonly Counts[]): Counts {
  const sum = { added: 0, changed: 0, removed: 0, unchanged: 0 }
  for (const { added, changed, removed, unchanged } of sections) {
    sum.added += added
    sum.changed += changed
    sum.removed += removed
    sum.unchanged += unchanged
  }
  return sum
}
