#!/bin/sh
# The newest payments, ten of them.
set -eu
exec "$(dirname "$0")"/send.sh GET '/v1/payments?limit=10'
