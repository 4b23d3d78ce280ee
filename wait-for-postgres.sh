#!/bin/sh
# Wait until PostgreSQL answers, then become the command:
#   wait-for-postgres.sh gunicorn ...
# It finds the database as the service does. WAIT_SECONDS (60) is the longest wait.
set -eu

(cd "$(dirname "$0")" && python - <<'PY'
import sys
import time

import psycopg2

from payment_service.config import database_urls, load

settings = load()
where = database_urls.for_libpq(settings.database_url)
deadline = time.monotonic() + settings.wait_seconds
while True:
    try:
        psycopg2.connect(**where | {"connect_timeout": 3}).close()
        break
    except psycopg2.OperationalError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        if time.monotonic() > deadline:
            sys.exit(f"PostgreSQL did not answer in {settings.wait_seconds:g} s: {reason}")
        time.sleep(0.5)
PY
)

exec "$@"
