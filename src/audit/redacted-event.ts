import { isObject } from '../policy/json.ts'
import type { Properties } from '../policy/model.ts'
import { type AuditEvent, SEARCHED } from './event.ts'
import type { Redaction } from './redaction.ts'

/**
 * The event as it may be recorded. Of a decision, paths say what becomes of what was asked. In other events `context`
 * and `resource` are Verdict's own words, and stay but for what they repeat of somebody: the question of an
 * explanation, the filters of a query, the entities that were changed.
 */
export function redactedEvent(event: AuditEvent, redaction: Redaction): AuditEvent {
  const { actor, ip, user_agent } = event
  const asked = event.type === 'decision' ? redactedQuestion(event, redaction) : redactedCall(event, redaction)
  return {
    ...event,
    ...asked,
    actor: actor && { ...actor, id: redaction.id(['actor', 'id'], actor.id) },
    ip: text(redaction.value(['ip'], ip)),
    user_agent: text(redaction.value(['user_agent'], user_agent)),
  }
}

function redactedQuestion(event: AuditEvent, redaction: Redaction): Request {
  return event.reason === SEARCHED ? redactedSearch(event, redaction) : redactedRequest(event, redaction)
}

/** Of a search, the context that was asked with stands in the event's, beside what it came to. */
function redactedSearch({ context, ...named }: Request, redaction: Redaction): Request {
  if (context === null) return redactedRequest({ ...named, context }, redaction)
  const { context: asked, ...told } = context
  const request = redactedRequest({ ...named, context: isObject(asked) ? asked : null }, redaction)
  return { ...request, context: { ...told, ...(request.context !== null && { context: request.context }) } }
}

type Request = Pick<AuditEvent, 'subject' | 'action' | 'resource' | 'context'>

function redactedRequest({ subject, action, resource, context }: Request, redaction: Redaction): Request {
  return {
    subject: subject && withId('subject', subject, redaction),
    action: action && withProperties('action', action, redaction),
    resource: resource && withId('resource', resource, redaction),
    context: properties(redaction.value(['context'], context)) ?? null,
  }
}

function redactedCall({ subject, action, resource, context }: Request, redaction: Redaction): Request {
  return {
    subject: subject && withId('subject', subject, redaction),
    action,
    resource: resource && NAMES_AN_ENTITY.test(resource.type) ? ofEntity(resource, redaction) : resource,
    context: context && redactedContext(context, redaction),
  }
}

const NAMES_AN_ENTITY = /^pdp:(entity|credential)$/

function ofEntity<T extends { readonly id: string }>(named: T, redaction: Redaction): T {
  return named.id === '*' ? named : { ...named, id: redaction.entityId(named.id) }
}

function withId<T extends { readonly id: string; readonly properties?: Properties }>(
  root: 'subject' | 'resource',
  entity: T,
  redaction: Redaction,
): T {
  return { ...withProperties(root, entity, redaction), id: redaction.id([root, 'id'], entity.id) }
}

function withProperties<T extends { readonly properties?: Properties }>(
  root: 'subject' | 'action' | 'resource',
  named: T,
  redaction: Redaction,
): T {
  if (named.properties === undefined) return named
  const { properties: given, ...rest } = named
  const seen = properties(redaction.value([root, 'properties'], given))
  // The same members as before, but for one that may be left out.
  return (seen === undefined ? rest : { ...rest, properties: seen }) as T
}

function redactedContext(context: Properties, redaction: Redaction): Properties {
  const { explained, query, changes, of, capabilities } = context
  return {
    ...context,
    // Whom a security context is about.
    ...(isObject(of) &&
      typeof of['id'] === 'string' && { of: { ...of, id: redaction.id(['subject', 'id'], of['id']) } }),
    ...(Array.isArray(capabilities) && { capabilities: capabilities.map((layer) => redactedLayer(layer, redaction)) }),
    ...(isObject(explained) && { explained: { ...explained, ...redactedRequest(requestIn(explained), redaction) } }),
    ...(isObject(query) && { query: redactedQuery(query, redaction) }),
    ...(Array.isArray(changes) && { changes: changes.map((change) => redactedKey(change, redaction)) }),
  }
}

/** What a security context carries is no policy, and may name whom it is about, or what that may see. */
function redactedLayer(layer: unknown, redaction: Redaction): unknown {
  if (!Array.isArray(layer)) return layer
  return layer.map((capability) =>
    isObject(capability) ? { ...capability, ...redactedResources(capability, redaction) } : capability,
  )
}

/**
 * Of something that is given to somebody, its resources as a question's are treated. A condition is dropped where anything
 * is hidden: what stands in it can't be told apart.
 */
export function redactedResources(
  { resources, condition }: { readonly resources?: unknown; readonly condition?: unknown },
  redaction: Redaction,
): { readonly resources?: unknown; readonly condition?: null } {
  const id = (value: unknown) => (typeof value === 'string' ? redaction.id(['resource', 'id'], value) : value)
  const redacted = (selector: unknown) => {
    if (!isObject(selector)) return selector
    const { within } = selector
    return {
      ...selector,
      ...('id' in selector && { id: id(selector['id']) }),
      ...(isObject(within) && { within: { ...within, id: id(within['id']) } }),
    }
  }
  return {
    ...(Array.isArray(resources) && { resources: resources.map(redacted) }),
    ...(typeof condition === 'string' && { condition: null }),
  }
}

/** It was put there by `pdp.explain`, whole. */
function requestIn(explained: Properties): Request {
  const { subject, action, resource, context } = explained as unknown as Request
  return { subject, action, resource, context }
}

const QUERIED: ReadonlyMap<string, (value: string, redaction: Redaction) => unknown> = new Map([
  ['id', (value, redaction) => redaction.entityId(value)],
  ['subject_id', (value, redaction) => redaction.id(['subject', 'id'], value)],
  ['resource_id', (value, redaction) => redaction.id(['resource', 'id'], value)],
  ['actor', (value, redaction) => redaction.id(['actor', 'id'], value)],
  ['granted_by_id', (value, redaction) => redaction.id(['actor', 'id'], value)],
  ['ip', (value, redaction) => redaction.value(['ip'], value)],
])

function redactedQuery(query: Properties, redaction: Redaction): Properties {
  const members = Object.entries(query).map(([name, value]) => {
    const redacted = QUERIED.get(name)
    if (redacted === undefined) return [name, value] as const
    // A member that is repeated is refused, but the call is recorded.
    const seen = Array.isArray(value)
      ? value.map((each) => redacted(String(each), redaction))
      : redacted(String(value), redaction)
    return [name, seen] as const
  })
  return Object.fromEntries(members.filter(([, value]) => value !== undefined))
}

function redactedKey(change: unknown, redaction: Redaction): unknown {
  if (!isObject(change) || !isOfEntity(change['kind']) || !isObject(change['key'])) return change
  const { id } = change['key']
  return typeof id === 'string' ? { ...change, key: { ...change['key'], id: redaction.entityId(id) } } : change
}

/** A credential goes by the entity whose it is. */
function isOfEntity(kind: unknown): boolean {
  return kind === 'entity' || kind === 'credential'
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function properties(value: unknown): Properties | undefined {
  return isObject(value) ? value : undefined
}
