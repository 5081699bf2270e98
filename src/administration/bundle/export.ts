import type { Kysely, Transaction } from 'kysely'
import { Failure } from '../../failure.ts'
import { BUILT_IN_POLICIES, type Entity, type Policy, type Settings } from '../../policy/model.ts'
import { assignmentsToExport, holdersAmong } from '../../store/bundle.ts'
import type { DocumentTable } from '../../store/documents.ts'
import { listEntities } from '../../store/entities.ts'
import { policies } from '../../store/policies.ts'
import { roles } from '../../store/roles.ts'
import { rules } from '../../store/rules.ts'
import type { Database } from '../../store/schema.ts'
import { getSettings } from '../../store/settings.ts'
import { getTenant } from '../../store/tenants.ts'
import { types } from '../../store/types.ts'
import { normalPolicy, normalRole, normalRule, normalSettings, normalType, same } from '../normal.ts'
import { compact } from './compact.ts'
import type { Documents, Section } from './document.ts'
import { identityOf, refIdentity } from './identity.ts'
import { NIL_UUID } from './slices.ts'

/** What is exported at a time. Every section comes, in parts; `isLast` is set on the last part of each. */
export type Part =
  | { readonly section: 'settings'; readonly settings: Required<Settings> }
  | { readonly section: Section; readonly items: readonly object[]; readonly isLast: boolean }

export interface Exported {
  readonly revision: number
}

type Take = (part: Part) => void | Promise<void>

const PAGE = 500

/**
 * Hands over a tenant's whole policy as a bundle has it, at one revision: without members that have their defaults,
 * without what lies outside bundles, and in an order that is the same wherever it is applied.
 */
export function exportBundle(db: Kysely<Database>, tenant: string, settings: boolean, take: Take): Promise<Exported> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (trx) => {
      const found = await getTenant(trx, tenant)
      if (found === undefined) throw new Failure('not_found', 'there is no such tenant')
      if (settings) {
        const stored = await getSettings(trx, tenant)
        await take({ section: 'settings', settings: normalSettings(stored?.document ?? {}) })
      }
      await documents(trx, tenant, 'types', types, normalType, take)
      await documents(trx, tenant, 'policies', policies, normalPolicy, take)
      await documents(trx, tenant, 'roles', roles, normalRole, take)
      await documents(trx, tenant, 'rules', rules, normalRule, take)
      await entities(trx, tenant, take)
      await assignments(trx, tenant, take)
      return { revision: found.revision }
    })
}

async function documents<S extends 'types' | 'policies' | 'roles' | 'rules'>(
  trx: Transaction<Database>,
  tenant: string,
  section: S,
  table: DocumentTable<Documents[S]>,
  normal: (document: Documents[S]) => Documents[S],
  take: Take,
): Promise<void> {
  let cursor: string | null | undefined
  do {
    const page = await table.list(trx, tenant, { limit: PAGE, cursor })
    cursor = page.next_cursor
    const items = page.items.map(({ document }) => normal(document)).filter((document) => !isUnset(section, document))
    await take({ section, items: items.map((document) => compact(section, document)), isLast: cursor === null })
  } while (cursor !== null)
}

const DEFAULTS = new Map<string, Policy>(BUILT_IN_POLICIES.map((name) => [name, normalPolicy({ name })]))

/** A built-in policy that was set back to its defaults says nothing. */
function isUnset(section: Section, document: { readonly name: string }): boolean {
  return section === 'policies' && same(DEFAULTS.get(document.name), document)
}

async function entities(trx: Transaction<Database>, tenant: string, take: Take): Promise<void> {
  let cursor: string | null | undefined
  do {
    const page = await listEntities(trx, tenant, {}, { limit: PAGE, cursor })
    cursor = page.next_cursor
    const found: Required<Entity>[] = page.items.map(({ document }) => document)
    const holders = new Set((await holdersAmong(trx, tenant, found)).map(refIdentity))
    const items = found.filter((entity) => !holders.has(refIdentity(entity)))
    const shown = items.map((entity) => compact('entities', entity))
    await take({ section: 'entities', items: shown, isLast: cursor === null })
  } while (cursor !== null)
}

type Assignment = Awaited<ReturnType<typeof assignmentsToExport>>[number]

async function assignments(trx: Transaction<Database>, tenant: string, take: Take): Promise<void> {
  let after: Assignment | undefined
  let rest: Assignment[] = []
  for (let isLast = false; !isLast; ) {
    const page = await assignmentsToExport(trx, tenant, positionOf(after), PAGE)
    isLast = page.length < PAGE
    after = page.at(-1) ?? after
    const found = [...rest, ...page]
    // What one subject has of one role comes in the order of its ids, which is another one elsewhere: it is sorted
    // once it is all there.
    const whole = isLast || after === undefined ? found.length : found.findIndex((one) => isPair(one, after))
    rest = found.slice(whole)
    const items = sorted(found.slice(0, whole)).map((assignment) => compact('assignments', assignment))
    if (items.length > 0 || isLast) await take({ section: 'assignments', items, isLast })
  }
}

function positionOf(after: Assignment | undefined): [string, string, string, string] {
  return after === undefined ? ['', '', '', NIL_UUID] : [after.subject.type, after.subject.id, after.role, after.id]
}

function isPair(one: Assignment, other: Assignment | undefined): boolean {
  return pairOf(one) === (other && pairOf(other))
}

function pairOf({ subject, role }: Assignment): string {
  return JSON.stringify([subject.type, subject.id, role])
}

/** Only within one subject and role: among those the store has them in order. */
function sorted(found: readonly Assignment[]): Assignment[] {
  const keyed = found.map((assignment) => ({ assignment, key: identityOf.assignments(assignment) }))
  const groups = new Map<string, typeof keyed>()
  for (const one of keyed) {
    const pair = pairOf(one.assignment)
    const group = groups.get(pair)
    if (group === undefined) groups.set(pair, [one])
    else group.push(one)
  }
  return [...groups.values()].flatMap((group) =>
    group.sort((one, other) => (one.key < other.key ? -1 : 1)).map(({ assignment }) => assignment),
  )
}
