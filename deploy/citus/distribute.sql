-- Distributes Verdict's tables over a Citus cluster (12 or newer), by tenant. Read "Citus" in docs/scaling.md first: it says
-- what does not hold there. Run once by the owner of the tables, on the coordinator, after `verdict migrate` and while
-- no Verdict runs:
--
--   psql "$VERDICT_MIGRATE_DATABASE_URL" -v walls=lifted -f deploy/citus/distribute.sql
--
-- A test holds this list against the schema that the migrations make: each table stands here once.

\set ON_ERROR_STOP on

\if :{?walls}
\else
  do $$ begin raise 'row-level security between tenants does not work on Citus: say that you know it, with -v walls=lifted'; end $$;
\endif

begin;

-- One transaction holds all of it, so the workers are asked over one connection each.
set local citus.multi_shard_modify_mode to 'sequential';

-- A table that stands on every node, or on the coordinator alone, cannot refer to one that is distributed. No tenant is
-- ever deleted, and its id is never used again, so that this key has nothing to find.
alter table api_key_index drop constraint api_key_index_tenant_id_fkey;

-- `verdict.tenant` is set by set_config(), for one transaction. Citus hands settings on to its workers only where they are
-- set by SET LOCAL, so that behind the wall no tenant would see any row of its own. Every statement of Verdict names its
-- tenant besides: that is the one wall that is left.
do $$
declare
  walled regclass;
begin
  for walled in
    select c.oid::regclass from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relrowsecurity
  loop
    execute format('drop policy if exists own_tenant on %s', walled);
    execute format('drop policy if exists every_tenant on %s', walled);
    execute format('alter table %s disable row level security, no force row level security', walled);
  end loop;
end $$;

-- A tenant with all that is its own: on one node, whichever it is. `tenants` is not a reference table, since writes to those
-- wait for each other, and every write of policy takes its tenant's row.
select create_distributed_table('tenants', 'id', colocate_with => 'none');

select create_distributed_table('settings', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('types', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('policies', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('roles', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('role_edges', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('rules', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('policy_references', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('entities', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('entity_parents', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('assignments', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('capabilities', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('capability_references', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('permission_requests', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('quotas', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('quota_counters', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('quota_refunds', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('policy_changes', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('idempotency_keys', 'tenant_id', colocate_with => 'tenants');

select create_distributed_table('api_keys', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('issuers', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('passwords', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('totps', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('recovery_codes', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('sessions', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('refresh_tokens', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('contexts', 'tenant_id', colocate_with => 'tenants');

-- With its partitions, those to come included.
select create_distributed_table('audit', 'tenant_id', colocate_with => 'tenants');
select create_distributed_table('audit_outbox', 'tenant_id', colocate_with => 'tenants');

-- Read by everything and seldom written: on every node.
select create_reference_table('api_key_index');
select create_reference_table('signing_keys');
select create_reference_table('audit_keys');
select create_reference_table('deployment_key');

-- On the coordinator alone. What is written with every batch of the audit would have to be written on every node at once;
-- `audit_writers` has a trigger, which tables that are spread have not; and `revoked_tokens` goes by the numbers of
-- transactions, which each node counts for itself.
select citus_add_local_table_to_metadata('audit_writers');
select citus_add_local_table_to_metadata('audit_tree');
select citus_add_local_table_to_metadata('audit_checkpoints');
select citus_add_local_table_to_metadata('audit_pruned');
select citus_add_local_table_to_metadata('revoked_tokens');
select citus_add_local_table_to_metadata('login_throttles');

commit;
