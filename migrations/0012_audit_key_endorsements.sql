-- That a key follows another: a note that the key before it has signed, with the new public key in it. Whoever trusts the
-- one can trust the other, without having been told.
alter table audit_keys add column endorsement text;
