#!/bin/sh
# Wait until PostgreSQL answers, then become the command:
#   wait-for-postgres.sh gunicorn ...
# It finds the database as the service does. WAIT_SECONDS (60) is the longest wait.
set -eu

(cd "$(dirname "$0")" && python - <<'PY'
import sys
import time

import psycopg2

from payment_service.config import load

settings = load()
url = settings.database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
deadline = time.monotonic() + settings.wait_seconds
while True:
    try:
        psycopg2.connect(url, connect_timeout=3).close()
        break
    except psycopg2.OperationalError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        if time.monotonic() > deadline:
            sys.exit(f"PostgreSQL did not answer in {settings.wait_seconds:g} s: {reason}")
        time.sleep(0.5)
PY
)

exec "$@"
