import { type RawBuilder, sql } from 'kysely'

/**
 * What makes a `StoredEntity` of `r` (type, id), joined with its entity `e`: JSON as text, which its reader parses when its
 * time comes. Instants as the change log writes them.
 */
export function entityColumns(tenant: string): RawBuilder<unknown> {
  return sql`
    r.type, r.id, e.id is not null as known, e.properties::text as properties, e.disabled,
    (select json_agg(json_build_object('type', p.parent_type, 'id', p.parent_id) order by p.ordinal)
      from entity_parents p where p.tenant_id = ${tenant} and p.type = r.type and p.id = r.id)::text as parents,
    (select json_agg(jsonb_build_object(
        'id', a.id,
        'subject', jsonb_build_object('type', a.subject_type, 'id', a.subject_id),
        'role', a.role,
        'valid_from', to_char(a.valid_from at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'valid_until', to_char(a.valid_until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'reason', a.reason,
        'granted_by', a.granted_by)
      || case when a.within_id is null then '{}'
         else jsonb_build_object('within', jsonb_build_object('type', a.within_type, 'id', a.within_id)) end
      order by a.id)
      from assignments a
      where a.tenant_id = ${tenant} and a.subject_type = r.type and a.subject_id = r.id)::text as assignments`
}

// `offset 0` keeps the planner from reading a tenant's whole table for a thousand of its rows (it takes a recursion
// to bring ten times as many as it does): each row is looked up by the key.
export function joinEntity(tenant: string): RawBuilder<unknown> {
  return sql`left join lateral (
    select id, properties, disabled from entities
    where tenant_id = ${tenant} and type = r.type and id = r.id offset 0) e on true`
}
