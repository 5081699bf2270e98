-- A bundle asks which entities and assignments earlier bundles made, of how many there may be besides.
create index entities_from_bundle on entities (tenant_id, type, id) where from_bundle;
create index assignments_from_bundle on assignments (tenant_id, id) where from_bundle;
