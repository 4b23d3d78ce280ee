#!/bin/sh
# Hold an amount on a card, and take nothing yet: 201, AUTHORIZED.
set -eu
exec "$(dirname "$0")"/send.sh POST /v1/payments/charge hold.json
