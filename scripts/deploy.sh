#!/bin/sh
# Brings the service into a cluster, a step at a time, and back again:
#   scripts/deploy.sh namespace | secrets | release | status | rollback | uninstall | all
#   scripts/deploy.sh run COMMAND...: a Job beside the backups, such as flask recover listed ...
#
# NAMESPACE (ride-hailing), RELEASE (payment-service), VALUES (k8s/values/trial.yaml; several with
# blanks between), TAG (the image's; the chart's version where it is not set), and YES=1 to be asked
# nothing. Settings that are secret (DATABASE_URL, REDIS_URL, STRIPE_API_KEY ...) are taken from the
# environment by `secrets`; what is not there and can be random is made.
set -eu

cd "$(dirname "$0")/.."
namespace=${NAMESPACE:-ride-hailing}
release=${RELEASE:-payment-service}
values=${VALUES:-k8s/values/trial.yaml}
secret=payment-service-secrets
TAKEN=$(cat k8s/chart/files/secret-settings.txt)

sure() { # sure QUESTION
  [ -z "${YES:-}" ] || return 0
  printf '%s [y/N] ' "$1"
  read -r answer
  [ "$answer" = y ] || [ "$answer" = yes ] || { echo "deploy: nothing was changed" >&2; exit 1; }
}

need() {
  for program in "$@"; do
    command -v "$program" > /dev/null || { echo "deploy: $program is missing" >&2; exit 1; }
  done
}

make_namespace() {
  sure "Make the namespace $namespace, in which only restricted pods may run?"
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f -
  kubectl label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted
}

from_environment() { # files, because everyone can read the arguments of a process
  for name in $TAKEN; do
    eval "value=\${$name:-}"
    [ -z "$value" ] || printf %s "$value" > "$work/$name"
  done
}

add_secrets() { # what is there stays: the database knows its passwords
  openssl rand -hex 32 | tr -d '\n' > "$work/LOOKUP_HMAC_KEY" # one of before customers has none
  from_environment
  for file in "$work"/*; do
    [ -e "$file" ] || continue
    name=${file##*/}
    [ -z "$(kubectl -n "$namespace" get secret "$secret" -o "jsonpath={.data.$name}")" ] || rm "$file"
  done
  added=$(cd "$work" && echo *)
  [ "$added" != "*" ] || { echo "deploy: the Secret $secret is there, and stays as it is"; return 0; }
  sure "Add $added to the Secret $secret?"
  kubectl -n "$namespace" create secret generic "$secret" --from-file="$work" --dry-run=client -o json > "$work.json"
  kubectl -n "$namespace" patch secret "$secret" --type merge --patch-file "$work.json"
}

make_secrets() {
  need openssl
  work=$(mktemp -d)
  trap 'rm -rf "$work" "$work.json"' EXIT
  chmod 700 "$work"
  umask 077
  if kubectl -n "$namespace" get secret "$secret" > /dev/null 2>&1; then
    add_secrets
    return 0
  fi
  sure "Make the Secret $secret in $namespace for $values?"
  openssl rand -hex 24 | tr -d '\n' > "$work/DB_PASS"
  openssl rand -hex 24 | tr -d '\n' > "$work/REDIS_PASSWORD"
  openssl rand -hex 32 | tr -d '\n' > "$work/JWT_SECRET"
  openssl rand -hex 32 | tr -d '\n' > "$work/SECRET_KEY"
  openssl rand -hex 32 | tr -d '\n' > "$work/LOOKUP_HMAC_KEY"
  printf 'k1:%s' "$(openssl rand -base64 32)" > "$work/ENCRYPTION_KEYS"
  from_environment
  # In production these two come from the issuer, and from the addresses.
  case " $values" in *trial*) ;; *)
    [ -n "${JWT_SECRET:-}" ] || rm -f "$work/JWT_SECRET"
    [ -n "${DB_PASS:-}" ] || rm -f "$work/DB_PASS"
    [ -n "${REDIS_PASSWORD:-}" ] || rm -f "$work/REDIS_PASSWORD" ;;
  esac
  kubectl -n "$namespace" create secret generic "$secret" --from-file="$work"
}

chosen() { # the arguments for the values and the tag
  for file in $values; do printf ' -f %s' "$file"; done
  [ -z "${TAG:-}" ] || printf ' --set-string image.tag=%s' "$TAG"
}

make_release() {
  need helm
  sure "Install or upgrade $release in $namespace with $values?"
  # shellcheck disable=SC2046
  helm upgrade --install "$release" k8s/chart -n "$namespace" $(chosen) --wait --timeout "${TIMEOUT:-5m}"
}

status() {
  kubectl -n "$namespace" get deployments,pods,jobs,hpa,pdb,ingress
  helm -n "$namespace" history "$release" --max 5
}

roll_back() {
  need helm
  sure "Roll $release back to the release before? The tables stay as they are: the code before works with them."
  helm -n "$namespace" rollback "$release" --wait --timeout "${TIMEOUT:-5m}"
}

uninstall() {
  need helm
  sure "Uninstall $release? The Secret, backups and the namespace stay."
  helm -n "$namespace" uninstall "$release" --wait --timeout "${TIMEOUT:-5m}"
}

run_command() { # in a pod as the backups' is: their volume, and the database as the migration has it
  [ $# -gt 0 ] || { echo "deploy: run what?" >&2; exit 2; }
  words=
  for word in "$@"; do
    words="$words,$(printf '"%s"' "$(printf %s "$word" | sed 's/[\\"]/\\&/g')")"
  done
  job=payment-service-run-$(date +%s)
  sure "Run $* in $namespace?"
  patch="[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/args\",\"value\":[${words#,}]},{\"op\":\"replace\",\"path\":\"/spec/backoffLimit\",\"value\":0}]"
  kubectl -n "$namespace" create job "$job" --from=cronjob/payment-service-backup --dry-run=client -o yaml |
    kubectl patch --local -f - --type=json -p "$patch" -o yaml |
    kubectl -n "$namespace" create -f -
  kubectl -n "$namespace" logs -f --pod-running-timeout="${TIMEOUT:-5m}" "job/$job" || true # how it ended is asked
  kubectl -n "$namespace" wait --for=condition=Complete --timeout=30s "job/$job"
}

[ $# -eq 0 ] || need kubectl
case ${1:-} in
  run) shift && run_command "$@" ;;
  namespace) make_namespace ;;
  secrets) make_secrets ;;
  release) make_release ;;
  status) status ;;
  rollback) roll_back ;;
  uninstall) uninstall ;;
  all) make_namespace && make_secrets && make_release && status ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
