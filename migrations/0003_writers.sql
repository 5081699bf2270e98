-- What a writer has shipped it has shipped: its position never goes back, a writer that is closed stays as it is.
-- Shipping moves the position as the service's role, so that the role needs the right to; a position that goes back
-- would take records for missing that are there, or have them inserted twice.
--
-- Whoever restores a database by hand as its owner sets session_replication_role to replica first.

create function keep_audit_writers() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
  if new.writer <> old.writer or new.started_at <> old.started_at or new.position < old.position
     or (old.closed_at is not null and (new.closed_at is distinct from old.closed_at or new.position <> old.position))
  then
    raise exception 'what writer % has shipped can not be taken back', old.writer using errcode = '42501';
  end if;
  return new;
end $$;
create trigger audit_writers_only_go_forward before update on audit_writers
  for each row execute function keep_audit_writers();

-- What was pruned: for each partition and each writer how many records, from which to before which number. `statement`
-- is the text that was signed, the same in all rows of one prune; `signed` the signature over it.
create table audit_pruned (
  id uuid not null,
  partition text not null,
  writer uuid not null,
  first_seq bigint not null,
  next_seq bigint not null,
  records bigint not null,
  pruned_at timestamptz not null default now(),
  pruned_by text not null default session_user,
  statement text not null,
  signed text,
  primary key (id, writer)
);

-- Drops one month's partition, or deletes from the default one what is older than `cutoff`, if it holds exactly the
-- records that `ranges` names ([{writer, first_seq, next_seq, records}]); else false: a late record has come
-- meanwhile. Who may call it can drop whole months that are over, and nothing else; `event` is the trail's record of it.
create function prune_audit(name text, cutoff timestamptz, id uuid, ranges jsonb, statement text, signed text,
                            event_id uuid, event text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  found jsonb;
begin
  if cutoff > now() then
    raise exception 'records of the future are not pruned' using errcode = '22023';
  end if;
  if event::jsonb ->> 'tenant' <> 'system' or event::jsonb ->> 'id' <> event_id::text
     or event::jsonb #>> '{action,name}' <> 'pdp:prune' then
    raise exception 'the event is none of pruning' using errcode = '22023';
  end if;
  if name <> 'audit_default' then
    if name !~ '^audit_\d{4}_\d{2}$' or not exists (
      select from pg_inherits where inhparent = 'public.audit'::regclass and inhrelid = to_regclass('public.' || name)
    ) then
      raise exception '% is no month of the audit', name using errcode = '22023';
    end if;
    if (to_date(substr(name, 7), 'YYYY_MM') + interval '1 month') at time zone 'utc' > cutoff then
      raise exception 'the month of % is not over before %', name, cutoff using errcode = '22023';
    end if;
    -- The parent first: it is what dropping a partition locks, and who inserts locks in this order too.
    lock table public.audit in access exclusive mode;
  else
    lock table public.audit_default in share row exclusive mode;
  end if;
  execute format(
    'select coalesce(jsonb_agg(to_jsonb(r) order by r.writer), ''[]'') from (
       select writer, min(seq) as first_seq, max(seq) + 1 as next_seq, count(*) as records
       from public.%I where at < $1 group by writer) r', name) into found using cutoff;
  if found <> ranges then
    return false;
  end if;
  insert into audit_pruned (id, partition, writer, first_seq, next_seq, records, statement, signed)
  select prune_audit.id, name, r.writer, r.first_seq, r.next_seq, r.records, prune_audit.statement, prune_audit.signed
  from jsonb_to_recordset(ranges) as r (writer uuid, first_seq bigint, next_seq bigint, records bigint);
  insert into audit_outbox (tenant_id, id, writer, event) values ('system', event_id, null, prune_audit.event);
  if name = 'audit_default' then
    delete from public.audit_default where at < cutoff;
  else
    execute format('drop table public.%I', name);
  end if;
  return true;
end $$;
revoke all on function prune_audit(text, timestamptz, uuid, jsonb, text, text, uuid, text) from public;
