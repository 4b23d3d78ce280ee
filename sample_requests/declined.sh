#!/bin/sh
# A card that its bank refuses: 402, and why.
set -eu
exec "$(dirname "$0")"/send.sh POST /v1/payments/charge declined.json
