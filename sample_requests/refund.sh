#!/bin/sh
# refund.sh PAYMENT: gives a part of it back.
set -eu
exec "$(dirname "$0")"/send.sh POST "/v1/payments/$1/refund" refund.json
