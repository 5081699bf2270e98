import type { ContextTokens, VerifiedContext } from '../authn/context/tokens.ts'
import type { Budget } from '../policy/budget.ts'
import { isAboutVerdict } from '../policy/built-in.ts'
import { exceedsQuota } from '../policy/context/carried.ts'
import { decideCarried, denied, type Settled } from '../policy/context/decide.ts'
import type { View } from '../policy/context/lowered.ts'
import type { AccessRequest, Decision, EntityRef } from '../policy/model.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'

/** A context that came in the place of a subject. The token itself goes no further than this. */
export interface Presented {
  /** undefined: it is none of the tenant's, so that it is not known whom it is about. */
  readonly verified: VerifiedContext | undefined
}

/** Of whom nothing is known: nobody can be stored, or given anything, under a type of Verdict's own. */
export const NOBODY: EntityRef = { type: 'pdp:context', id: 'refused' }

/** A subject by its context, verified; at once where the token is known. */
export function present(tokens: ContextTokens, token: string, tenant: string): Presented | Promise<Presented> {
  const verifying = tokens.verify(token)
  if (verifying instanceof Promise) return verifying.then((verified) => ofTenant(verified, tenant))
  return ofTenant(verifying, tenant)
}

/** Of another tenant's nothing is told, not even whom it is about. */
function ofTenant(verified: VerifiedContext | undefined, tenant: string): Presented {
  return { verified: verified?.claims.tenant === tenant ? verified : undefined }
}

/** Decides by what is known now of the context, in the turn that decides: it may have ended since it was verified. */
export function decidePresented(
  tokens: ContextTokens,
  tenant: TenantSnapshot,
  view: View,
  { verified }: Presented,
  decideBare: (view: View) => Decision,
  now: number,
  budget: Budget,
): Settled {
  if (tenant.status === 'suspended') return { ...view, decision: decideBare(view) }
  if (verified === undefined) return { ...view, decision: denied('context_invalid') }
  const refused = tokens.refusal(verified, tenant.id, now)
  if (refused !== undefined) return { ...view, decision: denied(refused) }
  const { carried } = verified
  if (!isAboutVerdict(view.request)) return decideCarried(tenant.index, view, carried, now, budget)
  const decision = decideBare(view)
  if (!decision.decision) return { ...view, decision }
  // No pattern of a tenant's reaches what is Verdict's own.
  if (carried.layers.length > 0) return { ...view, decision: denied('context_exceeded') }
  return { ...view, decision: exceedsQuota(carried, view.request) ? denied('quota_exceeded') : decision }
}

/** What is recorded in the place of a token. */
export function subjectInRecord({ verified }: Presented, { type, id }: AccessRequest['subject']) {
  return verified === undefined ? null : { type, id, context_id: verified.claims.jti }
}
