#!/bin/sh
# A ride that is to be paid in cash: 201, PENDING.
set -eu
exec "$(dirname "$0")"/send.sh POST /v1/payments create_cash.json
