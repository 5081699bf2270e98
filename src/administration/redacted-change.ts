import { redactedResources } from '../audit/redacted-event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { GivenCapability } from '../policy/capability.ts'
import type { CredentialFacts } from '../policy/change.ts'
import type { EntityRef, Properties } from '../policy/model.ts'
import type { GivenPermissionRequest } from '../policy/permission-request.ts'
import type { ChangeRow } from '../store/changes.ts'

/** A row of the change log as those see it who may not read entities: through the tenant's redaction. */
export function redactedChange(row: ChangeRow, redaction: Redaction): ChangeRow {
  const { kind, key, actor, before, after } = row
  return {
    ...row,
    actor: redactedActor(actor, redaction),
    key:
      (kind === 'entity' || kind === 'credential') && key?.['id'] !== undefined
        ? { ...key, id: redaction.entityId(key['id']) }
        : key,
    before: redactedThing(kind, before, redaction),
    after: redactedThing(kind, after, redaction),
  }
}

/** What stands in the log was put there by our own writes: its kind says what it is. */
function redactedThing(kind: ChangeRow['kind'], thing: unknown, redaction: Redaction): unknown {
  if (thing === null) return null
  if (kind === 'entity') return redactedEntity(thing as Partial<LoggedEntity>, redaction)
  if (kind === 'credential') return redactedCredential(thing as CredentialFacts, redaction)
  if (kind === 'assignment') return redactedAssignment(thing as Partial<LoggedAssignment>, redaction)
  if (kind === 'capability') return redactedCapability(thing as Partial<GivenCapability>, redaction)
  if (kind === 'permission_request') return redactedRequest(thing as Partial<GivenPermissionRequest>, redaction)
  if (kind === 'api_key') return redactedHolder(thing as Partial<LoggedAssignment>, redaction)
  return thing
}

interface LoggedEntity {
  readonly id: string
  readonly properties: Properties
  readonly parents: readonly EntityRef[]
}

interface LoggedAssignment {
  readonly subject: EntityRef
  readonly within: EntityRef
  readonly granted_by: EntityRef
}

function redactedEntity(entity: Partial<LoggedEntity>, redaction: Redaction): object {
  const { id, properties, parents } = entity
  return {
    ...entity,
    ...(id !== undefined && { id: redaction.entityId(id) }),
    ...(properties !== undefined && { properties: redaction.entityProperties(properties) }),
    ...(parents !== undefined && {
      parents: parents.map((parent) => ({ ...parent, id: redaction.entityId(parent.id) })),
    }),
  }
}

/** Usernames are ids by another name: a mail address, say. */
function redactedCredential(credential: CredentialFacts, redaction: Redaction): object {
  const { username } = credential
  return username === undefined ? credential : { ...credential, username: redaction.entityId(username) }
}

function redactedAssignment(assignment: Partial<LoggedAssignment>, redaction: Redaction): object {
  const { within, granted_by } = assignment
  return {
    ...redactedHolder(assignment, redaction),
    ...(within !== undefined && { within: { ...within, id: redaction.id(['resource', 'id'], within.id) } }),
    ...(granted_by !== undefined && { granted_by: redactedActor(granted_by, redaction) }),
  }
}

/** What somebody was given by name says of them what they may see: its resources are hidden as those of questions are. */
function redactedCapability(capability: Partial<GivenCapability>, redaction: Redaction): object {
  return { ...redactedAssignment(capability, redaction), ...redactedResources(capability, redaction) }
}

function redactedRequest(request: Partial<GivenPermissionRequest>, redaction: Redaction): object {
  const { asked_by, decision } = request
  return {
    ...redactedHolder(request, redaction),
    ...redactedResources(request, redaction),
    ...(asked_by !== undefined && { asked_by: redactedActor(asked_by, redaction) }),
    ...(decision && { decision: redactedDecision(decision, redaction) }),
  }
}

function redactedDecision(
  { by, granted, ...decision }: NonNullable<GivenPermissionRequest['decision']>,
  redaction: Redaction,
): object {
  return {
    ...decision,
    by: redactedActor(by, redaction),
    granted: granted && { ...granted, ...redactedResources(granted, redaction) },
  }
}

/** Whoever did something, whatever the member is called that names them. */
function redactedActor<T extends EntityRef>(actor: T, redaction: Redaction): T {
  return { ...actor, id: redaction.id(['actor', 'id'], actor.id) }
}

function redactedHolder(held: { readonly subject?: EntityRef }, redaction: Redaction): object {
  const { subject } = held
  return subject === undefined
    ? held
    : { ...held, subject: { ...subject, id: redaction.id(['subject', 'id'], subject.id) } }
}
