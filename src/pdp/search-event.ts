import { type AuditEvent, SEARCHED } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { PageParameters } from '../contract/search.ts'
import type { Asking } from '../pdp.ts'
import type { AccessRequest } from '../policy/model.ts'
import type { SearchQuery } from '../policy/search/search.ts'
import { actorOf } from './event.ts'

/** What a search came to, as its record tells it. */
export interface Told {
  readonly count: number
  /** Whether there is nothing more. */
  readonly complete: boolean
  readonly limit: number
  readonly revision: number
}

/**
 * The record of a search: one for the call, in the shape of a decision's. What is searched for has no id, and so stands in
 * the context; who or what was found is not repeated.
 */
export function searchEvent(
  asking: Asking,
  query: SearchQuery,
  page: PageParameters | undefined,
  told: Told,
  now: number,
) {
  const { caller, tenant, origin, began } = asking
  const { count, complete, limit, revision } = told
  const asked = query.context === undefined ? {} : { context: query.context }
  const event: AuditEvent = {
    ...eventId(now),
    tenant,
    type: 'decision',
    actor: actorOf(caller, tenant),
    subject: query.kind === 'subject' ? null : namedOf(query.subject),
    action: query.kind === 'action' ? null : query.action,
    resource: query.kind === 'resource' ? null : namedOf(query.resource),
    context: {
      search: query.kind,
      ...typeSought(query),
      ...asked,
      limit,
      continued: page?.token !== undefined,
      count,
      complete,
    },
    decision: null,
    reason: SEARCHED,
    rules: [],
    obligations: [],
    revision,
    ...origin,
    duration_us: Math.round((performance.now() - began) * 1000),
  }
  return event
}

function namedOf({ type, id, properties }: AccessRequest['subject']): NonNullable<AuditEvent['subject']> {
  return properties === undefined ? { type, id } : { type, id, properties }
}

function typeSought(query: SearchQuery): { readonly type?: string } {
  if (query.kind === 'action') return {}
  return { type: query.kind === 'subject' ? query.subject.type : query.resource.type }
}
