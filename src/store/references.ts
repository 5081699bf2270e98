import { type Kysely, sql, type Transaction } from 'kysely'
import type { EntityRef, ResourceSelector, Role, Rule, SubjectSelector } from '../policy/model.ts'
import type { Database } from './schema.ts'

/** What a rule, a role's permission or a quota names literally. `type` is "" for a role. */
export interface Reference {
  readonly owner: string
  readonly kind: 'role' | 'subject' | 'within'
  readonly type: string
  readonly id: string
}

export interface Owner {
  readonly kind: 'rule' | 'role' | 'quota'
  readonly name: string
}

export function referencesOfRule(rule: Rule): Reference[] {
  return [
    ...rule.subjects.flatMap((subject) => ofSubject(rule.name, subject)),
    ...ofResources(rule.name, rule.resources),
  ]
}

export function referencesOfRole(role: Role): Reference[] {
  return (role.permissions ?? []).flatMap((permission) => ofResources(role.name, permission.resources))
}

/** Replaces all that the owners named before. */
export async function replaceReferences(
  trx: Transaction<Database>,
  tenant: string,
  kind: Owner['kind'],
  owners: readonly string[],
  references: readonly Reference[],
): Promise<void> {
  await sql`
    delete from policy_references
    where tenant_id = ${tenant} and owner_kind = ${kind} and owner = any(${owners})`.execute(trx)
  if (references.length === 0) return
  await sql`
    insert into policy_references (tenant_id, owner_kind, owner, kind, type, id)
    select ${tenant}, ${kind}, owner, kind, type, id
    from jsonb_to_recordset(${JSON.stringify(references)}::jsonb) as row(owner text, kind text, type text, id text)
    on conflict do nothing`.execute(trx)
}

/** What names the role in its subjects, at most `limit`. */
export async function ownersOfRole(
  db: Kysely<Database>,
  tenant: string,
  role: string,
  limit: number,
): Promise<readonly Owner[]> {
  const { rows } = await sql<Owner>`
    select owner_kind as kind, owner as name from policy_references
    where tenant_id = ${tenant} and kind = 'role' and type = '' and id = ${role}
    order by owner, owner_kind limit ${limit}`.execute(db)
  return rows
}

/** Rules, roles and quotas that name an entity literally, as a subject or as `within`, at most `limit`. */
export async function ownersNaming(
  db: Kysely<Database>,
  tenant: string,
  entity: EntityRef,
  limit: number,
): Promise<readonly Owner[]> {
  const { rows } = await sql<Owner>`
    select distinct owner_kind as kind, owner as name from policy_references
    where tenant_id = ${tenant} and kind in ('subject', 'within') and type = ${entity.type} and id = ${entity.id}
    order by 1, 2 limit ${limit}`.execute(db)
  return rows
}

function ofSubject(owner: string, subject: SubjectSelector): Reference[] {
  if ('role' in subject) return [{ owner, kind: 'role', type: '', id: subject.role }]
  return 'id' in subject ? [{ owner, kind: 'subject', type: subject.type, id: subject.id }] : []
}

function ofResources(owner: string, resources: readonly ResourceSelector[]): Reference[] {
  return resources.flatMap(({ within }) =>
    within === undefined ? [] : [{ owner, kind: 'within' as const, ...within }],
  )
}
