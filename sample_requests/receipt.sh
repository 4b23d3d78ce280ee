#!/bin/sh
# receipt.sh PAYMENT [json|html|pdf]: its receipt.
set -eu
exec "$(dirname "$0")"/send.sh GET "/v1/payments/$1/receipt?format=${2:-json}"
