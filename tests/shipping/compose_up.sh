#!/usr/bin/env bash
# make compose-up-check: docker-compose.yml brought up for real by podman, on Debian, as root.
#
# No registry of images is asked, so PostgreSQL, Redis and RabbitMQ are stand-ins: Debian's packages
# on the base of image-check, which take the same variables as the public images. A line per check.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SHIPPING=$PWD/.shipping
work=$(mktemp -d /tmp/compose-up.XXXXXX)
export COMPOSE_PROJECT_NAME=payments-check$$ SERVICE_PORT SANDBOX_PORT POSTGRES_PORT
COMPOSE="$SHIPPING/venv/bin/podman-compose --env-file $work/.env -f $work/docker-compose.yml"
ok() { printf '  ok  %s\n' "$*"; }
die() { echo "compose-up-check: $*" >&2; tail -n 30 "$work/log" >&2; exit 1; }
run() { "$@" >> "$work/log" 2>&1 || die "$* failed"; }

if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || die "needs root"
  for program in podman crun buildah; do
    command -v $program > /dev/null || { echo "compose-up-check: $program is missing: apt-get install podman crun conmon netavark aardvark-dns uidmap slirp4netns buildah" >&2; exit 1; }
  done
  rm -rf "$work"
  # Where both kinds of cgroups are mounted crun starts nothing; here it sees one kind only.
  # shellcheck disable=SC2016
  exec unshare -m bash -ec 'mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec bash "$0" inside' "${BASH_SOURCE[0]}"
fi

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
SERVICE_PORT=$(port) SANDBOX_PORT=$(port) POSTGRES_PORT=$(port)
project=$COMPOSE_PROJECT_NAME
name() { echo "${project}_$1_1"; }
clean_up() {
  set +e
  $COMPOSE --profile demo down -v > /dev/null 2>&1
  podman network rm -f "$project-network" > /dev/null 2>&1
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' HUP INT TERM

cat > "$work/containers.conf" <<X
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "crun"
events_logger = "file"
[network]
# In a store that buildah has used before podman, podman takes the old one, which knows no names.
network_backend = "netavark"
X
cat > "$work/storage.conf" <<X
[storage]
driver = "overlay"
graphroot = "$SHIPPING/store"
runroot = "$SHIPPING/run"
X
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot

python3 -m scripts.write_env "$work/.env" > /dev/null
image=$(.venv/bin/python -c 'from tests.shipping import building; print(building.image())')
ok "$image is built"

stand_in() { # stand_in NAME PACKAGES ENTRYPOINT: once; it is kept
  podman image exists "localhost/stand-in-$1" && return 0
  local container
  container=$(buildah --root "$SHIPPING/store" --runroot "$SHIPPING/run" from --pull-never localhost/base:bookworm)
  printf '%s' "$3" > "$work/entrypoint"
  chmod 755 "$work/entrypoint"
  local b="buildah --root $SHIPPING/store --runroot $SHIPPING/run"
  run $b run "$container" -- sh -c \
    "printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $2"
  run $b copy "$container" "$work/entrypoint" /entrypoint
  run $b config --entrypoint '["/entrypoint"]' --cmd "" --env PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  run $b commit -q --rm "$container" "localhost/stand-in-$1"
}
# shellcheck disable=SC2016
stand_in postgres postgresql-15 '#!/bin/sh
set -eu
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
  chown postgres $data && chmod 700 $data
  printf %s "$POSTGRES_PASSWORD" > /tmp/password
  setpriv --reuid=postgres --regid=postgres --init-groups sh -c "
    initdb -D $data -U $POSTGRES_USER --auth-host=scram-sha-256 --auth-local=trust --pwfile=/tmp/password > /dev/null
    echo \"host all all all scram-sha-256\" >> $data/pg_hba.conf
    pg_ctl -D $data -w -o \"-c listen_addresses=\" start > /dev/null
    createdb -h /var/run/postgresql -U $POSTGRES_USER $POSTGRES_DB || true
    pg_ctl -D $data -w -m fast stop > /dev/null"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D $data -c "listen_addresses=*"
'
# shellcheck disable=SC2016
stand_in redis redis-server '#!/bin/sh
[ "$1" = redis-server ] || set -- redis-server "$@"
exec "$@" --protected-mode no
'
# shellcheck disable=SC2016
stand_in rabbitmq rabbitmq-server '#!/bin/sh
set -eu
printf "default_user = %s\ndefault_pass = %s\nloopback_users = none\n" "$RABBITMQ_DEFAULT_USER" "$RABBITMQ_DEFAULT_PASS" > /etc/rabbitmq/rabbitmq.conf
chown -R rabbitmq /var/lib/rabbitmq
exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups env HOME=/var/lib/rabbitmq /usr/lib/rabbitmq/bin/rabbitmq-server
'
ok "stand-ins for the public images"

sed -e "s|image: postgres:15|image: localhost/stand-in-postgres|" \
  -e "s|image: redis:7|image: localhost/stand-in-redis|" \
  -e "s|image: rabbitmq:3|image: localhost/stand-in-rabbitmq|" \
  -e "s|image: payment-service:.*|image: $image|" \
  -e "s|name: ride-hailing-network|name: $project-network|" docker-compose.yml > "$work/docker-compose.yml"

healthy() { # healthy SERVICE: nothing runs health checks here, so this asks for each
  for _ in $(seq 90); do podman healthcheck run "$(name "$1")" >> "$work/log" 2>&1 && return 0; sleep 1; done
  podman logs "$(name "$1")" >> "$work/log" 2>&1 || true
  die "$1 is not healthy"
}
up() { # in the order that docker-compose.yml says, which podman does not keep by itself
  run $COMPOSE --profile demo up -d --no-deps postgres redis rabbitmq
  for service in postgres redis rabbitmq; do healthy $service; done
  run $COMPOSE --profile demo run --no-deps --rm migrate
  run $COMPOSE --profile demo up -d --no-deps sandbox api worker
  for service in sandbox api worker; do healthy $service; done
}
base=http://127.0.0.1:$SERVICE_PORT
up
ok "up, all healthy: $(curl -fsS "$base/health/ready")"
[ "$(podman exec "$(name api)" id -u)" = 1001 ] || die "the api is not uid 1001"
TOKEN=$(podman exec "$(name api)" flask token)
export TOKEN
run scripts/smoke.sh "$base"
ok "scripts/smoke.sh"
run sample_requests/all.sh "$base"
ok "sample_requests/all.sh"
run podman exec "$(name api)" python -m scripts.db_backup save --folder /tmp
run podman exec "$(name api)" sh -c 'pg_restore --list /tmp/payments-*.dump | grep -q "TABLE DATA public payments "'
ok "a backup from the image, as the CronJob makes it"
before=$(curl -fsS -H "Authorization: Bearer $TOKEN" "$base/v1/payments?limit=100" | md5sum)
for service in api worker; do
  run podman stop -t 30 "$(name $service)"
  code=$(podman inspect -f '{{.State.ExitCode}}' "$(name $service)")
  [ "$code" = 0 ] || die "$service ended with $code after TERM"
done
ok "web and worker end with exit code 0"
run $COMPOSE --profile demo down
up
after=$(curl -fsS -H "Authorization: Bearer $TOKEN" "$base/v1/payments?limit=100" | md5sum)
[ "$before" = "$after" ] || die "down and up again: the payments are not what they were"
run scripts/smoke.sh "$base"
ok "down and up again: the same payments, and smoke passes"
echo "compose-up-check: all is well"
