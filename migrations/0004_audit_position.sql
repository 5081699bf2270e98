-- Reading a tenant's records in the order of the logs: late records can't slip behind a cursor of writer → seq. Of all
-- indexes of `audit` it costs the least, since a writer's records come in its order: each goes in beside the last.
create index audit_position on audit (tenant_id, writer, seq);
