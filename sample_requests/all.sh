#!/bin/sh
# all.sh [BASE_URL]: sends each of these requests once, and looks at the status of each answer.
# TOKEN is sent as a bearer token, if it is set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BASE_URL=${1:-${BASE_URL:-http://127.0.0.1:8082}}
STATUS_FILE=$(mktemp)
export BASE_URL STATUS_FILE
trap 'rm -f "$STATUS_FILE"' EXIT
run=$(date +%s)$$ count=0

# try STATUS SCRIPT [ARGUMENT...]: sets $payment from the answer, if it names one.
try() {
  wanted=$1 script=$2
  shift 2
  count=$((count + 1))
  answer=$(KEY="sample-$run-$count" ORDER="$run$count" "$here/$script.sh" "$@")
  status=$(cat "$STATUS_FILE")
  [ "$status" = "$wanted" ] || { echo "samples: $script answered $status, not $wanted: $answer" >&2; exit 1; }
  named=$(printf %s "$answer" | sed -n 's/.*"payment_id":\([0-9]*\).*/\1/p' | head -n 1)
  payment=${named:-${payment:-}}
  echo "  ok  $script: $status"
}

try 201 charge
paid=$payment
try 200 get "$paid"
try 200 events "$paid"
try 200 refund "$paid"
try 200 receipt "$paid"
try 402 declined
try 200 list
try 201 hold
held=$payment
try 200 capture "$held"
try 201 hold
held=$payment
try 200 cancel "$held"
try 201 create_cash
cash=$payment
try 200 cash_received "$cash"
echo "samples: all is well"
