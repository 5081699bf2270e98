-- The second wall between tenants: a statement sees and writes the rows of the one tenant that it says it is for
-- (`verdict.tenant`, set for its transaction only), whatever its conditions say or forget to say. No tenant said: none.
--
-- `*` stands for all of them. To the service's role that is the audit alone, which is shipped, verified and pruned for
-- the whole deployment; to the owner it is everything, for dumps and for later migrations. A later migration that
-- makes a table with a tenant_id ends with `select wall_tenants_off()`; a test finds one that does not.
--
-- The setting is read once for a statement, in a sub-select: read for each row it would cost more than the row.

create function wall_tenants_off() returns void
language plpgsql set search_path = public, pg_temp as $$
declare
  walled record;
begin
  for walled in
    select c.oid::regclass as name, c.relname in ('audit', 'audit_outbox') as shipped
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      -- From a key's id to its tenant, before the tenant is known: there is nothing else in it.
      and c.relname <> 'api_key_index'
      and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'own_tenant')
  loop
    execute format('alter table %s enable row level security, force row level security', walled.name);
    execute format('create policy own_tenant on %s using (tenant_id = (select current_setting(''verdict.tenant'', true)))',
                   walled.name);
    execute format('create policy every_tenant on %s to %s using ((select current_setting(''verdict.tenant'', true)) = ''*'')',
                   walled.name, case when walled.shipped then 'public' else quote_ident(current_user) end);
  end loop;
end $$;
revoke all on function wall_tenants_off() from public;

-- Behind the wall a condition reaches an index only if its functions can tell nothing of the rows that they see
-- ("leakproof"), which hashtextextended is not said to be: the hashes stand in columns, which are compared as numbers.
alter table audit
  add column subject_hash int generated always as (hashtext(subject_id)) stored,
  add column resource_hash int generated always as (hashtext(resource_id)) stored;
drop index audit_subject;
drop index audit_resource;
create index audit_subject on audit (tenant_id, subject_hash, at, id);
create index audit_resource on audit (tenant_id, resource_hash, at, id);

-- Migrations before this one made tables of tenants too.
select wall_tenants_off();

-- What seals the secrets in the database and what their keyed hashes are made with, itself sealed under the master key:
-- a new master key seals this one row anew, and changes no hash that stands in the audit.
create table deployment_key (
  one boolean primary key default true check (one),
  sealed bytea not null,
  sealed_at timestamptz not null default now()
);

-- A key that is revoked verifies nothing from then on; one that is retired verifies what it has signed.
alter table signing_keys add column revoked_at timestamptz;
