import { mayReadEntities } from '../policy/built-in.ts'
import { inForce } from '../policy/model.ts'
import { type ChangeRow, listChanges } from '../store/changes.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { getSettings } from '../store/settings.ts'
import { redactedChange } from './redacted-change.ts'
import type { Parts, Read } from './write.ts'

export type ShownChange = Omit<ChangeRow, 'at'> & { readonly at: string }

export interface ChangeLog {
  /**
   * Oldest first; a revision's changes in the order in which they took effect. Readers with none of the roles that may
   * read entities see them through the tenant's redaction.
   */
  list(read: Read, afterRevision: number, page: Page): Promise<Listed<ShownChange>>
}

export function changeLog({ db, redactor }: Parts): ChangeLog {
  async function redactionFor(tenant: string, roles: readonly string[]) {
    if (mayReadEntities(roles)) return undefined
    return redactor.of(tenant, inForce((await getSettings(db, tenant))?.document ?? null))
  }

  return {
    async list({ tenant, roles = [] }, afterRevision, page) {
      const redaction = await redactionFor(tenant, roles)
      const { items, next_cursor } = await listChanges(db, tenant, afterRevision, page)
      const seen = redaction === undefined ? items : items.map((row) => redactedChange(row, redaction))
      return { items: seen.map((row) => ({ ...row, at: row.at.toISOString() })), next_cursor }
    },
  }
}
