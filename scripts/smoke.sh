#!/bin/sh
# Walk through a running service with curl: health, charge, replay, get, list, refund, receipt,
# metrics. A line per step; exits 1 with the first thing that is wrong.
#   scripts/smoke.sh [BASE_URL]
# TOKEN is sent as a bearer token if it is set.
set -eu

base=${1:-http://127.0.0.1:${SERVICE_PORT:-8082}}
base=${base%/}
order=$(date +%s)$$
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
  echo "smoke: $1" >&2
  [ -s "$work/body" ] && head -c 600 "$work/body" >&2 && echo >&2
  exit 1
}

# call NAME STATUS METHOD PATH [JSON]: leaves $work/body and $work/head.
call() {
  name=$1 wanted=$2 method=$3 path=$4
  : > "$work/body"
  set -- "$base$path" -X "$method" ${5:+-H 'Content-Type: application/json' --data "$5"}
  [ -z "${TOKEN:-}" ] || set -- "$@" -H "Authorization: Bearer $TOKEN"
  status=$(curl -sS --max-time 30 -o "$work/body" -D "$work/head" -w '%{http_code}' "$@") ||
    fail "$name: no answer from $base$path"
  [ "$status" = "$wanted" ] || fail "$name: $method $path answered $status, not $wanted"
}

# has NAME TEXT: the body holds TEXT, white space apart.
has() {
  tr -d ' \n' < "$work/body" | grep -qF -- "$2" || fail "$1: the answer lacks $2"
}

done_with() {
  printf '  ok  %s\n' "$1"
}

echo "smoke: $base"

call health 200 GET /health
has health '"status":"UP"'
call ready 200 GET /health/ready
done_with health

charge="{\"idempotency_key\": \"smoke-$order\", \"order_id\": $order, \"amount\": \"12.50\",
  \"currency\": \"INR\", \"method\": \"CARD\"}"
call charge 201 POST /v1/payments/charge "$charge"
has charge '"status":"SUCCESS"'
has charge '"amount_captured":"12.50"'
has charge "\"order_id\":$order"
payment=$(tr -d ' \n' < "$work/body" | sed -n 's/.*"payment_id":\([0-9]*\).*/\1/p')
[ -n "$payment" ] || fail "charge: the answer has no payment_id"
cp "$work/body" "$work/first"
done_with "charge    payment $payment, INR 12.50"

call replay 201 POST /v1/payments/charge "$charge"
cmp -s "$work/first" "$work/body" || fail "replay: other bytes than the first answer"
grep -qi '^Idempotent-Replayed: *true' "$work/head" || fail "replay: no Idempotent-Replayed: true"
done_with "replay    the same bytes"

call get 200 GET "/v1/payments/$payment"
has get "\"payment_id\":$payment"
has get '"transaction_type":"CHARGE"'
done_with get

call list 200 GET "/v1/payments?order_id=$order"
has list '"count":1'
has list "\"payment_id\":$payment"
done_with list

call refund 200 POST "/v1/payments/$payment/refund" \
  "{\"idempotency_key\": \"smoke-$order-refund\", \"amount\": \"2.50\", \"reason\": \"smoke\"}"
has refund '"refund_amount":"2.50"'
has refund '"status":"PARTIALLY_REFUNDED"'
call "refunded payment" 200 GET "/v1/payments/$payment"
has "refunded payment" '"amount_refunded":"2.50"'
done_with "refund    INR 2.50"

call receipt 200 GET "/v1/payments/$payment/receipt"
has receipt '"receipt_id":"RCP-'
call "receipt as a page" 200 GET "/v1/payments/$payment/receipt?format=html"
grep -qi '<html' "$work/body" || fail "receipt as a page: no HTML"
call "receipt as PDF" 200 GET "/v1/payments/$payment/receipt?format=pdf"
head -c 5 "$work/body" | grep -q '%PDF-' || fail "receipt as PDF: no PDF"
done_with "receipt   JSON, HTML, PDF"

call metrics 200 GET /metrics
for name in payment_service_http_requests_total payments_created_total refunds_processed_total; do
  grep -q "^$name" "$work/body" || fail "metrics: $name is missing"
done
done_with metrics

echo "smoke: all is well"
