#!/bin/sh
# cancel.sh PAYMENT: releases what is held.
set -eu
exec "$(dirname "$0")"/send.sh POST "/v1/payments/$1/cancel"
