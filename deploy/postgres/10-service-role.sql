-- Runs once, when the database is made, as its owner. The service itself uses this role: it may neither change the
-- schema nor touch an audit record once it is written. `verdict migrate` grants it what it needs.
\getenv password POSTGRES_SERVICE_PASSWORD
create role verdict login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'password';
