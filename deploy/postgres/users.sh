#!/bin/sh
# Run once by the postgres image, in an empty database: the e-commerce pipeline's user, who makes its tables, and one who
# may only read them. Again, for other passwords: docs/deployment.md. psql takes them from the environment, where no list
# of processes shows them.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv shop POSTGRES_PASSWORD_SHOP
\getenv viewer POSTGRES_PASSWORD_VIEWER
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['shop', 'viewer']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE shop PASSWORD :'shop';
ALTER ROLE viewer PASSWORD :'viewer';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO shop;
GRANT USAGE ON SCHEMA public TO viewer;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO viewer;
ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA public GRANT SELECT ON TABLES TO viewer;
SQL
