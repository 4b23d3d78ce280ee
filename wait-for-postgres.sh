#!/bin/sh
# Wait until PostgreSQL answers, then become the command:
#   wait-for-postgres.sh gunicorn ...
# Reads DATABASE_URL, or DB_HOST and DB_PORT. WAIT_SECONDS (60) is the longest wait.
set -eu

python - "${WAIT_SECONDS:-60}" <<'PY'
import os
import sys
import time

import psycopg2

url = os.environ.get("DATABASE_URL", "").replace("postgres://", "postgresql://", 1)
url = url.replace("postgresql+psycopg2://", "postgresql://", 1)
where = {"dsn": url} if url else {
    "host": os.environ.get("DB_HOST", "localhost"),
    "port": os.environ.get("DB_PORT", "5432"),
    "dbname": os.environ.get("DB_NAME", "payments"),
    "user": os.environ.get("DB_USER", "payments"),
    "password": os.environ.get("DB_PASS", ""),
    "sslmode": os.environ.get("DB_SSL_MODE", "prefer"),
}
deadline = time.monotonic() + float(sys.argv[1])
while True:
    try:
        psycopg2.connect(connect_timeout=3, **where).close()
        break
    except psycopg2.OperationalError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        if time.monotonic() > deadline:
            sys.exit(f"PostgreSQL did not answer in {sys.argv[1]} s: {reason}")
        time.sleep(0.5)
PY

exec "$@"
