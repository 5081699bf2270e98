import { Draft, Moot, Unreadable, type Workshop } from './draft.ts'
import type { Divergence } from './follower.ts'
import { Overlay } from './overlay.ts'
import type { LoggedChange, RevisionId } from './source.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'

/** The next state of a tenant, made beside it. */
export interface Succession {
  readonly draft: Draft
  readonly overlay: Overlay
}

/** What came of making it: undefined if nobody needs it any more. */
export type Prepared =
  | Succession
  | { readonly divergence: Divergence; readonly found: RevisionId | undefined }
  | undefined

/**
 * Makes what a revision leaves that is too big for one turn beside the tenant, which goes on deciding as it is. Where the
 * tables had to be read, later revisions may have left their traces in them: these come along, whole.
 */
export async function prepare(
  tenant: TenantSnapshot,
  big: RevisionId,
  workshop: Workshop,
  isMoot: () => boolean,
): Promise<Prepared> {
  const overlay = new Overlay({ get: (type, id) => tenant.held(type, id) })
  const { id, revision, revision_id } = tenant
  const entities = (change: LoggedChange) => overlay.take(change)
  const draft = new Draft({ id, revision, revision_id, entities, isMoot }, workshop)
  try {
    const other = await draft.takeBig(big)
    if (other !== undefined) return { divergence: other, found: undefined }
    if (draft.index !== undefined) {
      const found = await workshop.source.standing(id)
      const divergence = found === undefined ? 'missing' : await draft.catchUp(found)
      if (divergence !== undefined) return { divergence, found }
    }
    if (draft.spent) await draft.pause()
    return { draft, overlay }
  } catch (error) {
    if (error instanceof Moot) return undefined
    // It would fail again each time that it is tried: what cannot be followed is loaded.
    if (error instanceof Unreadable) return { divergence: 'unreadable', found: big }
    throw error
  }
}
