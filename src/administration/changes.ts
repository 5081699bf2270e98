import { type ChangeRow, listChanges } from '../store/changes.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Parts, Read } from './write.ts'

export type ShownChange = Omit<ChangeRow, 'at'> & { readonly at: string }

export interface ChangeLog {
  /** Oldest first; a revision's changes in the order in which they took effect. */
  list(read: Read, afterRevision: number, page: Page): Promise<Listed<ShownChange>>
}

export function changeLog({ db }: Parts): ChangeLog {
  return {
    async list({ tenant }, afterRevision, page) {
      const { items, next_cursor } = await listChanges(db, tenant, afterRevision, page)
      return { items: items.map((row) => ({ ...row, at: row.at.toISOString() })), next_cursor }
    },
  }
}
