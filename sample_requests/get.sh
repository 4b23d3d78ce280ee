#!/bin/sh
# get.sh PAYMENT: the payment, with its transactions.
set -eu
exec "$(dirname "$0")"/send.sh GET "/v1/payments/$1"
