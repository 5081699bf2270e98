import { Failure } from '../failure.ts'
import type { Asking } from '../pdp.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'

/**
 * Makes sure that the tenant is at what a call asks for, in its body or by its header; undefined if it is. Where both ask,
 * the larger satisfies both. Fails as `Snapshots.atLeast` does.
 */
export function reached(
  snapshots: Snapshots,
  { tenant, min_revision: byHeader }: Pick<Asking, 'tenant' | 'min_revision'>,
  inBody: number | undefined,
): Promise<void> | undefined {
  if (byHeader === undefined) return inBody === undefined ? undefined : snapshots.atLeast(tenant, inBody)
  if (inBody !== undefined && inBody >= byHeader) return snapshots.atLeast(tenant, inBody)
  return snapshots.atLeast(tenant, byHeader)?.catch((error: unknown) => {
    throw pointingAtHeader(error)
  })
}

/** The one failure that says where the number stands. */
function pointingAtHeader(error: unknown): unknown {
  if (!(error instanceof Failure) || error.code !== 'revision_unknown') return error
  return new Failure(error.code, error.message, {
    problems: error.problems.map(({ detail }) => ({ pointer: '/verdict-min-revision', detail: `header: ${detail}` })),
    cause: error,
  })
}
