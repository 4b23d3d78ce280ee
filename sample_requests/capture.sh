#!/bin/sh
# capture.sh PAYMENT: takes a part of what is held; the rest is free.
set -eu
exec "$(dirname "$0")"/send.sh POST "/v1/payments/$1/capture" capture.json
