#!/bin/sh
# cash_received.sh PAYMENT: the cash is here.
set -eu
exec "$(dirname "$0")"/send.sh PATCH "/v1/payments/$1/status" cash_received.json
