-- Three roles and what each may do in the service's database: docs/operations/roles.md.
--
--   psql "$ADMIN_DATABASE_URL" -f scripts/roles.sql
--   psql ... -v owner=payments_owner -v app=payments_app -v readonly=payments_reader -f ...
--
-- To be run again after each migration, before new code starts, and after each restore. All at once
-- or nothing, and a service that runs meanwhile is not disturbed.

\set ON_ERROR_STOP on
\if :{?owner} \else \set owner payment_service_owner \endif
\if :{?app} \else \set app payment_service_app \endif
\if :{?readonly} \else \set readonly payment_service_readonly \endif

BEGIN;
-- Another owner, the first time, is a lock on each table: better fail than have everybody wait.
SET LOCAL lock_timeout = '5s';

-- Without a password nobody gets in: \password payment_service_app
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY[:'owner', :'app', :'readonly']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- The app's are those that the service asks for itself where no pooler forbids it
-- (payment_service/flask_settings.py). What stands is left, so that the owner may run this again.
SELECT format('ALTER ROLE %I SET %I = %L', rolname, given, value)
FROM (VALUES
    (:'app', 'lock_timeout', '10s'),
    (:'app', 'idle_in_transaction_session_timeout', '60s'),
    (:'readonly', 'default_transaction_read_only', 'on'),
    (:'readonly', 'statement_timeout', '60s')
) AS l(name, given, value)
JOIN pg_roles ON rolname = name
WHERE given || '=' || value <> ALL (coalesce(rolconfig, '{}'))
\gexec

-- Whom a restore ends the sessions of, it must be a member of.
SELECT format('GRANT %I TO %I', name, :'owner')
FROM unnest(ARRAY[:'app', :'readonly']) AS name
WHERE NOT pg_has_role(:'owner', name, 'MEMBER')
\gexec

-- What migrations made, and will make, is the owner's. Sequences go with their tables.
SELECT format('ALTER DATABASE %I OWNER TO %I', current_database(), :'owner')
WHERE (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database())
    <> :'owner'
\gexec
SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, :'owner')
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND pg_get_userbyid(c.relowner) <> :'owner'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
\gexec
SELECT format('ALTER SEQUENCE %s OWNER TO %I', c.oid::regclass, :'owner')
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S'
    AND pg_get_userbyid(c.relowner) <> :'owner'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'e', 'i'))
\gexec
SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, :'owner')
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) <> :'owner'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
\gexec
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";

-- From nothing, so that what this file no longer says is gone. That takes columns' rights, too.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM :"app", :"readonly";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM :"app", :"readonly";
REVOKE CREATE ON SCHEMA public FROM :"app", :"readonly";
GRANT USAGE ON SCHEMA public TO :"app", :"readonly";

-- The service. No DDL, no TRUNCATE, and DELETE only where something is put away for good.
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO :"app";
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO :"app";
-- Until this file is run again a new table has these rights; whoever is to hide it says so below.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO :"app";
GRANT DELETE ON
    idempotency_keys, deliveries, webhooks, webhook_refusals, lookups, payment_hours,  -- their time is over
    total_deltas,  -- folded into the sums
    log_in_tries, used_states,  -- after an hour, and a day
    saved_views  -- by who made it
    TO :"app";

-- Append-only: what the database refuses by a trigger is not granted either.
SELECT format('REVOKE UPDATE ON %s FROM %I', tgrelid::regclass, :'app')
FROM pg_trigger WHERE tgfoid = to_regprocedure('public.refuse_change()')
\gexec
REVOKE UPDATE ON contradictions, import_seals FROM :"app";
REVOKE INSERT, UPDATE ON alembic_version FROM :"app";
-- A request to a provider: what was asked stays, and what became of it is written later.
REVOKE UPDATE ON transactions FROM :"app";
SELECT format('GRANT UPDATE (%s) ON transactions TO %I', string_agg(quote_ident(attname), ', '), :'app')
FROM pg_attribute
WHERE attrelid = 'transactions'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN (
    'payment_id', 'number', 'transaction_id', 'type', 'amount', 'currency', 'provider', 'reference',
    'request_id', 'created_at', 'send_before'
)
\gexec

-- Who only reads: all but what is secret, personal, or free text. Nothing of a table that a
-- migration made since: somebody has to look at it first.
SELECT format('GRANT SELECT (%s) ON %s TO %I',
    string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), c.oid::regclass, :'readonly')
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND c.relname NOT IN (
        'operator_invites', 'operator_sessions', 'used_states', 'log_in_tries', 'saved_views',
        'idempotency_keys', 'payers'
    )
    AND (c.relname, a.attname) NOT IN (
        ('operators', 'email'), ('operators', 'name'), ('operators', 'password_hash'),
        ('operators', 'totp_secret'), ('operators', 'totp_next'), ('operators', 'totp_last_step'),
        ('operators', 'recovery_hashes'), ('operators', 'issuer'), ('operators', 'subject'),
        ('customers', 'name'), ('customers', 'email'), ('customers', 'phone'),
        ('customers', 'email_lookup'), ('customers', 'phone_lookup'),
        ('payments', 'payment_token'), ('payments', 'token'), ('payments', 'next_action'), ('payments', 'description'),
        ('payments', 'metadata'), ('transactions', 'description'), ('transactions', 'answer'),
        ('lookups', 'answer'), ('refunds', 'reason'), ('refund_requests', 'reason'),
        ('refund_requests', 'decision'), ('payment_notes', 'text'), ('events', 'reason'),
        ('events', 'body'), ('events', 'snapshot'), ('webhooks', 'body'), ('webhooks', 'headers'),
        ('webhook_refusals', 'address'), ('audit_log', 'address'), ('audit_log', 'reason'),
        ('customers', 'name'), ('customers', 'email'), ('customers', 'phone'),
        ('customers', 'email_lookup'), ('customers', 'phone_lookup'),
        ('payment_methods', 'token'), ('payment_methods', 'token_mark'),
        ('payment_methods', 'last4'), ('payment_methods', 'fingerprint'),
        ('audit_log', 'body'), ('jobs', 'what'), ('jobs', 'address'), ('job_items', 'said')
    )
GROUP BY c.oid
\gexec

COMMIT;
