import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { GivenAssignment } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { type AssignmentRow, assignmentMembers, storedAssignment } from './assignments.ts'
import type { Database } from './schema.ts'

/**
 * What a bundle asks of a tenant: what earlier bundles made, and what stays whatever a bundle says. Holders of
 * built-in roles lie outside bundles, with all that is theirs.
 */

/** Whether a subject holds a built-in role, by assignment or by a key. */
const holds = (tenant: string, type: RawBuilder<unknown>, id: RawBuilder<unknown>) => sql<boolean>`(
  exists (select from assignments h where h.tenant_id = ${tenant} and h.subject_type = ${type} and h.subject_id = ${id}
          and h.role like 'pdp:%')
  or exists (select from api_keys k where k.tenant_id = ${tenant} and k.subject_type = ${type} and k.subject_id = ${id}
          and k.roles is not null))`

const entityStays = (tenant: string) => sql`(not e.from_bundle or ${holds(tenant, sql`e.type`, sql`e.id`)})`
const assignmentStays = (tenant: string) =>
  sql`(not a.from_bundle or ${holds(tenant, sql`a.subject_type`, sql`a.subject_id`)})`

/** Entities that bundles made and may delete, in the order of type and id. */
export async function entitiesOfBundles(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  limit: number,
): Promise<EntityRef[]> {
  const { rows } = await sql<EntityRef>`
    select e.type, e.id from entities e
    where e.tenant_id = ${tenant} and e.from_bundle and (e.type, e.id) > (${type}, ${id})
    order by e.type, e.id limit ${limit}`.execute(db)
  return rows
}

/** Assignments that bundles made and may delete, in the order of their ids; those of holders are marked. */
export async function assignmentsOfBundles(
  db: Kysely<Database>,
  tenant: string,
  after: string,
  limit: number,
): Promise<{ assignment: GivenAssignment; stays: boolean }[]> {
  const { rows } = await sql<AssignmentRow & { stays: boolean }>`
    select ${assignmentMembers}, ${assignmentStays(tenant)} or a.role like 'pdp:%' as stays from assignments a
    where a.tenant_id = ${tenant} and a.from_bundle and a.id > ${after}::uuid order by a.id limit ${limit}`.execute(db)
  return rows.map((row) => ({ assignment: storedAssignment(row).document, stays: row.stays }))
}

/** A subject and a role that it is given. */
export interface Pair {
  readonly type: string
  readonly id: string
  readonly role: string
}

/** The assignments of these roles to these subjects, in the order of their ids. */
export async function assignmentsOfPairs(
  db: Kysely<Database>,
  tenant: string,
  pairs: readonly Pair[],
  after: string,
  limit: number,
): Promise<GivenAssignment[]> {
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb)
      as pair(type text, id text, role text)
    join assignments a on a.tenant_id = ${tenant} and a.subject_type = pair.type and a.subject_id = pair.id
      and a.role = pair.role
    where a.id > ${after}::uuid order by a.id limit ${limit}`.execute(db)
  return rows.map((row) => storedAssignment(row).document)
}

/** Something that stands in the way of deleting `target`. */
export interface Use {
  readonly target: string
  readonly user: string
}

/** Assignments of these roles: all, or those only that no bundle may delete. */
export async function usesOfRoles(
  db: Kysely<Database>,
  tenant: string,
  roles: readonly string[],
  which: 'all' | 'staying',
  limit: number,
): Promise<GivenAssignment[]> {
  const filter = which === 'all' ? sql`true` : assignmentStays(tenant)
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a
    where a.tenant_id = ${tenant} and a.role = any(${roles}) and ${filter} order by a.role, a.id limit ${limit}`.execute(
    db,
  )
  return rows.map((row) => storedAssignment(row).document)
}

/** Rules, or quotas, whose subjects name one of these roles. */
export async function ownersNamingRoles(
  db: Kysely<Database>,
  tenant: string,
  roles: readonly string[],
  kind: 'rule' | 'quota',
  limit: number,
): Promise<Use[]> {
  const { rows } = await sql<Use>`
    select id as target, owner as user from policy_references
    where tenant_id = ${tenant} and owner_kind = ${kind} and kind = 'role' and type = '' and id = any(${roles})
    order by id, owner limit ${limit}`.execute(db)
  return rows
}

export async function rulesOfPolicies(
  db: Kysely<Database>,
  tenant: string,
  policies: readonly string[],
  limit: number,
): Promise<Use[]> {
  const { rows } = await sql<Use>`
    select policy as target, name as user from rules
    where tenant_id = ${tenant} and policy = any(${policies}) order by policy, name limit ${limit}`.execute(db)
  return rows
}

/** Entities of these types: all, or those only that no bundle may delete. */
export async function entitiesOfTypes(
  db: Kysely<Database>,
  tenant: string,
  types: readonly string[],
  which: 'all' | 'staying',
  limit: number,
): Promise<EntityRef[]> {
  const filter = which === 'all' ? sql`true` : entityStays(tenant)
  const { rows } = await sql<EntityRef>`
    select e.type, e.id from entities e where e.tenant_id = ${tenant} and e.type = any(${types}) and ${filter}
    order by e.type, e.id limit ${limit}`.execute(db)
  return rows
}

/** Rules, roles or quotas that name entities of a type literally. */
export async function ownersNamingEntitiesOf(
  db: Kysely<Database>,
  tenant: string,
  type: string,
  kind: 'rule' | 'role' | 'quota',
  limit: number,
): Promise<string[]> {
  const { rows } = await sql<{ owner: string }>`
    select distinct owner from policy_references
    where tenant_id = ${tenant} and kind in ('subject', 'within') and type = ${type} and owner_kind = ${kind}
    order by owner limit ${limit}`.execute(db)
  return rows.map(({ owner }) => owner)
}

/** Assignments to subjects of these types: all, or those only that no bundle may delete. */
export async function assignmentsOfTypes(
  db: Kysely<Database>,
  tenant: string,
  types: readonly string[],
  which: 'all' | 'staying',
  limit: number,
): Promise<GivenAssignment[]> {
  const filter = which === 'all' ? sql`true` : assignmentStays(tenant)
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a
    where a.tenant_id = ${tenant} and a.subject_type = any(${types}) and ${filter}
    order by a.subject_type, a.subject_id, a.id limit ${limit}`.execute(db)
  return rows.map((row) => storedAssignment(row).document)
}

export interface EntityUse {
  readonly target: EntityRef
  readonly user: string
}

interface EntityUseRow {
  readonly type: string
  readonly id: string
  readonly user: string
}

const refs = (entities: readonly EntityRef[]) =>
  sql`jsonb_to_recordset(${JSON.stringify(entities.map(({ type, id }) => ({ type, id })))}::jsonb) as ref(type text, id text)`

/** Stored rules, roles or quotas that name one of these entities literally. */
export async function ownersNamingAny(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
  kind: 'rule' | 'role' | 'quota',
  limit: number,
): Promise<EntityUse[]> {
  const { rows } = await sql<EntityUseRow>`
    select distinct ref.type, ref.id, p.owner as user from ${refs(entities)}
    join policy_references p on p.tenant_id = ${tenant} and p.kind in ('subject', 'within')
      and p.type = ref.type and p.id = ref.id
    where p.owner_kind = ${kind} order by 1, 2, 3 limit ${limit}`.execute(db)
  return rows.map(used)
}

/** API keys that act as one of these entities. */
export async function keysOfAny(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
  limit: number,
): Promise<EntityUse[]> {
  const { rows } = await sql<EntityUseRow>`
    select ref.type, ref.id, k.id as user from ${refs(entities)}
    join api_keys k on k.tenant_id = ${tenant} and k.subject_type = ref.type and k.subject_id = ref.id
    order by 1, 2, 3 limit ${limit}`.execute(db)
  return rows.map(used)
}

/** Passwords and second factors of these entities. */
export async function credentialsOfAny(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
  limit: number,
): Promise<EntityUse[]> {
  const { rows } = await sql<EntityUseRow>`
    select ref.type, ref.id, 'password' as user from ${refs(entities)}
    join passwords p on p.tenant_id = ${tenant} and p.subject_type = ref.type and p.subject_id = ref.id
    union all
    select ref.type, ref.id, 'second factor' from ${refs(entities)}
    join totps o on o.tenant_id = ${tenant} and o.subject_type = ref.type and o.subject_id = ref.id
    order by 1, 2, 3 limit ${limit}`.execute(db)
  return rows.map(used)
}

/** Entities that no bundle may delete and that name one of these as a parent, from `after` on. */
export async function childrenStaying(
  db: Kysely<Database>,
  tenant: string,
  parents: readonly EntityRef[],
  after: EntityRef,
  limit: number,
): Promise<{ child: EntityRef; parent: EntityRef }[]> {
  const { rows } = await sql<{ type: string; id: string; parent_type: string; parent_id: string }>`
    select c.type, c.id, c.parent_type, c.parent_id from ${refs(parents)}
    join entity_parents c on c.tenant_id = ${tenant} and c.parent_type = ref.type and c.parent_id = ref.id
    join entities e on e.tenant_id = ${tenant} and e.type = c.type and e.id = c.id
    where ${entityStays(tenant)} and (c.type, c.id) > (${after.type}, ${after.id})
    order by c.type, c.id limit ${limit}`.execute(db)
  return rows.map((row) => ({
    child: { type: row.type, id: row.id },
    parent: { type: row.parent_type, id: row.parent_id },
  }))
}

/** Assignments of one of these entities, or scoped within one: all, or those only that no bundle may delete. */
export async function assignmentsAroundAny(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
  which: 'all' | 'staying',
  after: string,
  limit: number,
): Promise<GivenAssignment[]> {
  const filter = which === 'all' ? sql`true` : assignmentStays(tenant)
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from (
      select a.* from ${refs(entities)}
      join assignments a on a.tenant_id = ${tenant} and a.subject_type = ref.type and a.subject_id = ref.id
      union
      select a.* from ${refs(entities)}
      join assignments a on a.tenant_id = ${tenant} and a.within_type = ref.type and a.within_id = ref.id
    ) a where ${filter} and a.id > ${after}::uuid order by a.id limit ${limit}`.execute(db)
  return rows.map((row) => storedAssignment(row).document)
}

/** A page of all assignments of a tenant's own roles, but for those of holders. */
export async function assignmentsToExport(
  db: Kysely<Database>,
  tenant: string,
  after: readonly [type: string, id: string, role: string, assignment: string],
  limit: number,
): Promise<GivenAssignment[]> {
  const [type, id, role, last] = after
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a
    where a.tenant_id = ${tenant} and a.role not like 'pdp:%'
      and not ${holds(tenant, sql`a.subject_type`, sql`a.subject_id`)}
      and (a.subject_type, a.subject_id, a.role, a.id) > (${type}, ${id}, ${role}, ${last}::uuid)
    order by a.subject_type, a.subject_id, a.role, a.id limit ${limit}`.execute(db)
  return rows.map((row) => storedAssignment(row).document)
}

/** Which of these entities hold a built-in role. */
export async function holdersAmong(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
): Promise<EntityRef[]> {
  const { rows } = await sql<EntityRef>`
    select ref.type, ref.id from ${refs(entities)} where ${holds(tenant, sql`ref.type`, sql`ref.id`)}`.execute(db)
  return rows
}

function used({ type, id, user }: EntityUseRow): EntityUse {
  return { target: { type, id }, user }
}
