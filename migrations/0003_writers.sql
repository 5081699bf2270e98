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
