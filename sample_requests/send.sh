#!/bin/sh
# send.sh METHOD PATH [BODY.json]: one request, as the other scripts send it. The answer goes to
# standard output, its status to the file that STATUS_FILE names.
#   BASE_URL (http://127.0.0.1:8082), TOKEN (a bearer token, where the service asks for one),
#   KEY (the idempotency key; one of its own for each call where it is not set),
#   ORDER (the number of the order, in place of the bodies' 900001)
set -eu
method=$1 path=$2 body=${3:-}
base=${BASE_URL:-http://127.0.0.1:8082}
set -- -sS --max-time 30 -X "$method" "${base%/}$path" -H "Idempotency-Key: ${KEY:-sample-$(date +%s)-$$}"
[ -z "${TOKEN:-}" ] || set -- "$@" -H "Authorization: Bearer $TOKEN"
if [ -n "$body" ]; then
  sent=$(sed "s/900001/${ORDER:-900001}/" "$(dirname "$0")/$body")
  set -- "$@" -H 'Content-Type: application/json' --data "$sent"
fi
answer=$(curl "$@" -w '\n%{http_code}')
[ -z "${STATUS_FILE:-}" ] || printf '%s\n' "$answer" | tail -n 1 > "$STATUS_FILE"
printf '%s\n' "$answer" | sed '$d'
