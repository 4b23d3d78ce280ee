#!/bin/sh
# events.sh PAYMENT: its time line.
set -eu
exec "$(dirname "$0")"/send.sh GET "/v1/payments/$1/events"
