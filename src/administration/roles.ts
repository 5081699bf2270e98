import type { Problem } from '../failure.ts'
import { isBuiltInRole } from '../policy/built-in.ts'
import type { Role } from '../policy/model.ts'
import { checkRole } from '../policy/parse.ts'
import { typesNamed, undeclaredInRole } from '../policy/undeclared.ts'
import { listAssignments, subjectsOfRole } from '../store/assignments.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { issuersAllowing } from '../store/issuers.ts'
import { ownersOfRole } from '../store/references.ts'
import { basesOfRole, edgesAbove, type RoleEdge, roles, rolesOnBase } from '../store/roles.ts'
import { declaredTypes } from '../store/types.ts'
import type { Change, Changer } from './change.ts'
import { cyclicEdges } from './cycle.ts'
import { createDocument, type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { normalRole } from './normal.ts'
import { abnormalRole } from './operations.ts'
import { type Naming, unknownRoles } from './references.ts'
import { NAMED, notFound, refuseUsed, shownRef } from './refusal.ts'
import { type Readable, readable, type ShownAssignment, shownAssignment, type Written } from './representation.ts'
import { vagueRole } from './vague.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface RoleAdministration {
  list(read: Read, page: Page): Promise<Listed<Readable<Role>>>
  get(read: Read, name: string): Promise<Found<Readable<Role>>>
  /** Who is given the role directly. */
  members(read: Read, name: string, page: Page): Promise<Listed<ShownAssignment>>
  create(write: Write, role: Role): Promise<Answer<Written<Role>>>
  put(write: Write, role: Role): Promise<Answer<Written<Role>>>
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function roleAdministration({ db, faultOf }: Parts, change: Changer): RoleAdministration {
  const asRead = (tenant: string, stored: Stored<Role>) =>
    readable(
      'role',
      { ...stored, document: normalRole(stored.document) },
      faultOf(tenant, 'role', stored.document.name),
    )
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await roles.list(db.of(tenant), tenant, page)
      return { items: items.map((one) => asRead(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = await roles.get(db.of(tenant), tenant, name)
      if (found === undefined) throw notFound(`role ${name}`)
      return { body: asRead(tenant, found), version: found.version }
    },
    async members({ tenant }, name, page) {
      if (!isBuiltInRole(name) && (await roles.get(db.of(tenant), tenant, name)) === undefined)
        throw notFound(`role ${name}`)
      const { items, next_cursor } = await listAssignments(db.of(tenant), tenant, { role: name }, page)
      return { items: items.map(shownAssignment), next_cursor }
    },
    create: (write, role) => change(write, (at) => createDocument(ROLE, at, role)),
    put: (write, role) => change(write, (at) => putDocument(ROLE, at, role)),
    delete: (write, name) => change(write, (at) => deleteDocument(ROLE, at, name)),
  }
}

const ROLE: DocumentKind<Role> = {
  noun: 'role',
  table: roles,
  normal: normalRole,
  async check(change, role) {
    const { trx, tenant } = change
    const namings = namedRoles(role).filter(({ name }) => name !== role.name)
    const unknown = await unknownRoles(trx, tenant, namings)
    const above = await edgesAbove(trx, tenant, basesOfRole(role))
    const edges = [...above.filter((edge) => edge.role !== role.name), ...edgesOf(role)]
    const ids = [...(await vagueRole(change, role)), ...(await abnormalRole(change, role))]
    return [...checkRole(role), ...unknown, ...roleCycles([{ pointer: '', role }], edges), ...ids]
  },
  async warnings({ trx, tenant }, role) {
    const named = (role.permissions ?? []).flatMap(typesNamed)
    return undeclaredInRole(role, await declaredTypes(trx, tenant, named))
  },
  logged: (name, operation, before, after) => ({ kind: 'role', key: { name }, operation, before, after }),
  async refuseUsed(change, name) {
    refuseUsed(`role ${name}`, await usersOfRole(change, name))
  },
}

/** Every role that a role names, with its place. */
export function namedRoles(role: Role): Naming[] {
  return [
    ...(role.inherits ?? []).map((name, place) => ({ pointer: `/inherits/${place}`, name })),
    ...(role.derived?.from ?? []).map((name, place) => ({ pointer: `/derived/from/${place}`, name })),
  ]
}

/** A role as it is about to be, and where it stands in what was sent. */
export interface PlacedRole {
  readonly pointer: string
  readonly role: Role
}

/** Where the roles close a cycle over `inherits` and `derived.from`, in the graph of all `edges`. */
export function roleCycles(written: readonly PlacedRole[], edges: readonly RoleEdge[]): Problem[] {
  const places = new Map<string, number>()
  const placeOf = (name: string) => {
    const place = places.get(name) ?? places.size
    places.set(name, place)
    return place
  }
  const graph = edges.map(({ role, base }) => ({ from: placeOf(role), to: placeOf(base) }))
  const cyclic = new Map<number, Set<number>>()
  for (const { from, to } of cyclicEdges(graph, places.size)) cyclic.set(from, (cyclic.get(from) ?? new Set()).add(to))
  return written.flatMap(({ pointer: at, role }) =>
    namedRoles(role)
      .filter(({ name }) => cyclic.get(placeOf(role.name))?.has(placeOf(name)) === true)
      .map(({ pointer, name }) => ({
        pointer: `${at}${pointer}`,
        detail: `role ${role.name} would build on itself by way of ${name}`,
      })),
  )
}

export function edgesOf(role: Role): RoleEdge[] {
  return basesOfRole(role).map((base) => ({ role: role.name, base }))
}

async function usersOfRole({ trx, tenant }: Change, name: string): Promise<string[]> {
  const limit = NAMED + 1
  const [onBase, named, given] = [
    await rolesOnBase(trx, tenant, name, limit),
    await ownersOfRole(trx, tenant, name, limit),
    await subjectsOfRole(trx, tenant, name, limit),
  ]
  const allowing = await issuersAllowing(trx, tenant, [name], limit)
  return [
    ...onBase.map((role) => `role ${role}`),
    ...named.map(({ kind, name: owner }) => `${kind} ${owner}`),
    ...given.map((subject) => `an assignment of ${shownRef(subject)}`),
    ...allowing.map(({ user }) => `issuer ${user}`),
  ]
}
