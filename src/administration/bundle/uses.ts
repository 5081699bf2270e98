import type { Problem } from '../../failure.ts'
import type { GivenAssignment } from '../../policy/change.ts'
import type { EntityRef } from '../../policy/model.ts'
import {
  assignmentsAroundAny,
  assignmentsOfTypes,
  childrenStaying,
  credentialsOfAny,
  type EntityUse,
  entitiesOfTypes,
  keysOfAny,
  ownersNamingAny,
  ownersNamingEntitiesOf,
  ownersNamingRoles,
  rulesOfPolicies,
  type Use,
  usesOfRoles,
} from '../../store/bundle.ts'
import { capabilitiesOfAny, capabilitiesOfTypes } from '../../store/capabilities.ts'
import { issuersAllowing } from '../../store/issuers.ts'
import { type Reference, referencesOfRole, referencesOfRule } from '../../store/references.ts'
import { documentsNaming } from '../../store/types.ts'
import type { Change } from '../change.ts'
import { operationsOn } from '../operations.ts'
import { NAMED, shownRef } from '../refusal.ts'
import type { Placed, ReadBundle } from './document.ts'
import { identityOf, refIdentity } from './identity.ts'
import type { Plan } from './plan.ts'
import { NIL_UUID, pages, slices } from './slices.ts'

/** Enough to name some of the users of each thing; a bundle that deletes this much in use is told of a part. */
const LIMIT = 500

/**
 * What the bundle would delete though something that it does not govern uses it: made by hand, in a section that it
 * leaves alone, or a key. What it uses itself without declaring it is another check's business.
 */
export async function usesOfRemoved(change: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  return [
    ...(await usesOfRemovedTypes(change, bundle, plan)),
    ...(await usesOfRemovedPolicies(change, bundle, plan)),
    ...(await usesOfRemovedRoles(change, bundle, plan)),
    ...(await usesOfRemovedEntities(change, bundle, plan)),
  ]
}

async function usesOfRemovedTypes(change: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  const { trx, tenant } = change
  const { entities, assignments } = bundle.sections
  const users = new Users('types', 'type')
  const removed = (plan.types?.removed ?? []).map(({ name }) => name)
  if (removed.length === 0) return []
  const own = await identities(entities, refIdentity)
  const declared = await identities(assignments, identityOf.assignments)
  for await (const slice of slices(removed)) {
    for (const ref of await entitiesOfTypes(trx, tenant, slice, entities === undefined ? 'all' : 'staying', LIMIT)) {
      if (!own.has(refIdentity(ref))) users.add(ref.type, `entity ${shownRef(ref)}`)
    }
    const which = assignments === undefined ? 'all' : 'staying'
    for (const assignment of await assignmentsOfTypes(trx, tenant, slice, which, LIMIT)) {
      const { subject } = assignment
      const isOwn = declared.has(identityOf.assignments(assignment))
      if (!isOwn) users.add(subject.type, `an assignment of ${shownRef(subject)}`)
    }
    for (const { target, user } of await capabilitiesOfTypes(trx, tenant, slice, LIMIT)) {
      users.add(target, `capability ${user}`)
    }
    for (const type of slice) for (const owner of await ownersOfType(change, bundle, type)) users.add(type, owner)
    if (bundle.settings !== null) continue
    for (const type of slice) for (const user of await operationsOn(change, type)) users.add(type, user)
  }
  return users.problems()
}

/** What names a type, of the sections that the bundle leaves alone. */
async function ownersOfType({ trx, tenant }: Change, { sections }: ReadBundle, type: string): Promise<string[]> {
  const limit = NAMED + 1
  const about = [{ type }]
  const owners: string[] = []
  if (sections.rules === undefined) {
    const named = await ownersNamingEntitiesOf(trx, tenant, type, 'rule', limit)
    const rules = await documentsNaming(trx, tenant, 'rules', { resources: about }, limit)
    owners.push(...[...named, ...rules].map((name) => `rule ${name}`))
  }
  if (sections.roles === undefined) {
    const named = await ownersNamingEntitiesOf(trx, tenant, type, 'role', limit)
    const roles = await documentsNaming(trx, tenant, 'roles', { permissions: [{ resources: about }] }, limit)
    owners.push(...[...named, ...roles].map((name) => `role ${name}`))
  }
  if (sections.policies === undefined) {
    const policies = await documentsNaming(trx, tenant, 'policies', { target: { resource_types: [type] } }, limit)
    owners.push(...policies.map((name) => `policy ${name}`))
  }
  // No bundle has quotas.
  const named = await ownersNamingEntitiesOf(trx, tenant, type, 'quota', limit)
  const quotas = await documentsNaming(trx, tenant, 'quotas', { resources: about }, limit)
  owners.push(...[...named, ...quotas].map((name) => `quota ${name}`))
  return owners
}

async function usesOfRemovedPolicies({ trx, tenant }: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  const users = new Users('policies', 'policy')
  // Of rules that are declared here, each that names a policy which is not is told by itself.
  if (bundle.sections.rules !== undefined) return []
  for await (const slice of slices((plan.policies?.removed ?? []).map(({ name }) => name))) {
    for (const use of await rulesOfPolicies(trx, tenant, slice, LIMIT)) users.add(use.target, `rule ${use.user}`)
  }
  return users.problems()
}

async function usesOfRemovedRoles({ trx, tenant }: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  const users = new Users('roles', 'role')
  const { rules, assignments } = bundle.sections
  for await (const slice of slices((plan.roles?.removed ?? []).map(({ name }) => name))) {
    const named: Use[] = rules === undefined ? await ownersNamingRoles(trx, tenant, slice, 'rule', LIMIT) : []
    for (const { target, user } of named) users.add(target, `rule ${user}`)
    const limited = await ownersNamingRoles(trx, tenant, slice, 'quota', LIMIT)
    for (const { target, user } of limited) users.add(target, `quota ${user}`)
    const which = assignments === undefined ? 'all' : 'staying'
    for (const assignment of await usesOfRoles(trx, tenant, slice, which, LIMIT)) {
      users.add(assignment.role, `an assignment of ${shownRef(assignment.subject)}`)
    }
    for (const { target, user } of await issuersAllowing(trx, tenant, slice, LIMIT)) users.add(target, `issuer ${user}`)
  }
  return users.problems()
}

async function usesOfRemovedEntities(change: Change, bundle: ReadBundle, plan: Plan): Promise<Problem[]> {
  const users = new Users('entities', 'entity')
  const removed = plan.entities?.removed ?? []
  if (removed.length === 0) return []
  const gone = new Set(removed.map(refIdentity))
  await namedHere(bundle, gone, users)
  const declared = await identities(bundle.sections.assignments, identityOf.assignments)
  const own = await identities(bundle.sections.entities, refIdentity)
  for await (const slice of slices(removed)) {
    for (const { target, user } of await outsideUsers(change, bundle, slice)) users.add(shownRef(target), user)
    await addAssignments(change, bundle, slice, { gone, declared }, users)
    await addChildren(change, slice, own, users)
  }
  return users.problems()
}

/** Rules and roles of the bundle that name what it deletes. */
async function namedHere({ sections }: ReadBundle, gone: ReadonlySet<string>, users: Users): Promise<void> {
  const add = (owner: string, references: readonly Reference[]) => {
    for (const { kind, type, id } of references) {
      if (kind !== 'role' && gone.has(refIdentity({ type, id }))) users.add(shownRef({ type, id }), owner)
    }
  }
  for await (const slice of slices(sections.rules ?? [])) {
    for (const { document } of slice) add(`rule ${document.name}`, referencesOfRule(document))
  }
  for await (const slice of slices(sections.roles ?? [])) {
    for (const { document } of slice) add(`role ${document.name}`, referencesOfRole(document))
  }
}

async function outsideUsers(
  { trx, tenant }: Change,
  { sections }: ReadBundle,
  slice: readonly EntityRef[],
): Promise<EntityUse[]> {
  const rules = sections.rules === undefined ? await ownersNamingAny(trx, tenant, slice, 'rule', LIMIT) : []
  const roles = sections.roles === undefined ? await ownersNamingAny(trx, tenant, slice, 'role', LIMIT) : []
  const quotas = await ownersNamingAny(trx, tenant, slice, 'quota', LIMIT)
  const keys = await keysOfAny(trx, tenant, slice, LIMIT)
  const credentials = await credentialsOfAny(trx, tenant, slice, LIMIT)
  const capabilities = await capabilitiesOfAny(trx, tenant, slice, LIMIT)
  return [
    ...rules.map(({ target, user }) => ({ target, user: `rule ${user}` })),
    ...roles.map(({ target, user }) => ({ target, user: `role ${user}` })),
    ...quotas.map(({ target, user }) => ({ target, user: `quota ${user}` })),
    ...keys.map(({ target, user }) => ({ target, user: `API key ${user}` })),
    ...capabilities.map(({ target, user }) => ({ target, user: `capability ${user}` })),
    ...credentials.map(({ target, user }) => ({ target, user: `its ${user}` })),
  ]
}

async function addAssignments(
  { trx, tenant }: Change,
  { sections }: ReadBundle,
  slice: readonly EntityRef[],
  { gone, declared }: { gone: ReadonlySet<string>; declared: ReadonlySet<string> },
  users: Users,
): Promise<void> {
  const which = sections.assignments === undefined ? 'all' : 'staying'
  const read = (after: GivenAssignment | undefined, limit: number) =>
    assignmentsAroundAny(trx, tenant, slice, which, after?.id ?? NIL_UUID, limit)
  for await (const page of pages(read)) {
    for (const assignment of page) {
      if (declared.has(identityOf.assignments(assignment))) continue
      const { subject, role, within } = assignment
      const target = within !== undefined && gone.has(refIdentity(within)) ? within : subject
      users.add(shownRef(target), `an assignment of ${role} to ${shownRef(subject)}`)
    }
  }
}

async function addChildren(
  { trx, tenant }: Change,
  slice: readonly EntityRef[],
  own: ReadonlySet<string>,
  users: Users,
): Promise<void> {
  const read = (after: { child: EntityRef } | undefined, limit: number) =>
    childrenStaying(trx, tenant, slice, after?.child ?? { type: '', id: '' }, limit)
  for await (const page of pages<{ child: EntityRef; parent: EntityRef }>(read)) {
    for (const { child, parent } of page) {
      if (!own.has(refIdentity(child))) users.add(shownRef(parent), `entity ${shownRef(child)}`)
    }
  }
}

/** Entities, and assignments to subjects, of types that are declared never to be stored, which stay. */
export async function storedThough(change: Change, bundle: ReadBundle): Promise<Problem[]> {
  const { types = [], entities, assignments } = bundle.sections
  const { trx, tenant } = change
  const users = new Users('types', 'type')
  const never = types.filter(({ document }) => document.stored === 'never').map(({ document }) => document.name)
  if (never.length === 0) return []
  const stored = await entitiesOfTypes(trx, tenant, never, entities === undefined ? 'all' : 'staying', LIMIT)
  for (const ref of stored) users.add(ref.type, `entity ${shownRef(ref)}`)
  const which = assignments === undefined ? 'all' : 'staying'
  for (const { subject, role } of await assignmentsOfTypes(trx, tenant, never, which, LIMIT)) {
    users.add(subject.type, `an assignment of ${role} to ${shownRef(subject)}`)
  }
  return types.flatMap(({ place, document }) => users.stored(document.name, `/types/${place}/stored`))
}

/** Between slices others have their turn: there may be a hundred thousand. */
async function identities<T>(
  documents: readonly Placed<T>[] | undefined,
  identity: (document: T) => string,
): Promise<Set<string>> {
  const found = new Set<string>()
  for await (const slice of slices(documents ?? [])) for (const { document } of slice) found.add(identity(document))
  return found
}

/** Who uses what, told thing by thing. */
class Users {
  readonly #users = new Map<string, string[]>()
  readonly #section: string
  readonly #noun: string

  constructor(section: string, noun: string) {
    this.#section = section
    this.#noun = noun
  }

  add(target: string, user: string): void {
    const users = this.#users.get(target) ?? []
    this.#users.set(target, users)
    // One more than are named says that there are others.
    if (users.length <= NAMED && !users.includes(user)) users.push(user)
  }

  /** What is not in the bundle has no place of its own: the section is where it is missing. */
  problems(): Problem[] {
    return [...this.#users.keys()].map((target) => ({
      pointer: `/${this.#section}`,
      detail: `${this.#noun} ${target} is left out, but is in use: by ${this.#named(target)}`,
    }))
  }

  stored(target: string, pointer: string): Problem[] {
    if (!this.#users.has(target)) return []
    const detail = `${this.#noun} ${target} is declared never to be stored, but is: ${this.#named(target)}`
    return [{ pointer, detail }]
  }

  #named(target: string): string {
    const users = this.#users.get(target) ?? []
    return users.slice(0, NAMED).join(', ') + (users.length > NAMED ? ' and others' : '')
  }
}
