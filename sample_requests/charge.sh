#!/bin/sh
# Charge an order: 201, and the payment.
set -eu
exec "$(dirname "$0")"/send.sh POST /v1/payments/charge charge.json
