#!/bin/sh
# An Azure Key Vault with the service's secrets, and an identity that reads them, for
# k8s/values/azure.yaml. Needs az, logged in. Run it again at will: what is there stays.
#   scripts/setup-keyvault.sh VAULT RESOURCE_GROUP AKS_CLUSTER
#
# NAMESPACE (ride-hailing). DATABASE_URL, RABBITMQ_URL and REDIS_URL are taken from the environment;
# STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET too where they are set; SECRET_KEY and ENCRYPTION_KEYS
# are made where they are not there.
set -eu

[ $# = 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
vault=$1 group=$2 cluster=$3
namespace=${NAMESPACE:-ride-hailing}
identity=payment-service
for program in az openssl; do
  command -v "$program" > /dev/null || { echo "setup-keyvault: $program is missing" >&2; exit 1; }
done
for name in DATABASE_URL RABBITMQ_URL REDIS_URL; do
  eval "[ -n \"\${$name:-}\" ]" || { echo "setup-keyvault: $name must be in the environment" >&2; exit 1; }
done

file=$(mktemp)
trap 'rm -f "$file"' EXIT
put() { # put OBJECT VALUE: a secret that is there stays
  case " $there " in *" $1 "*) echo "  is there: $1"; return 0 ;; esac
  printf %s "$2" > "$file" # not an argument, which everyone can read
  az keyvault secret set --vault-name "$vault" --name "$1" --file "$file" --output none
  echo "  written: $1"
}

az keyvault show --name "$vault" --output none 2> /dev/null ||
  az keyvault create --name "$vault" --resource-group "$group" --enable-rbac-authorization true --output none
scope=$(az keyvault show --name "$vault" --query id --output tsv)
# Whoever makes a vault may give rights on it, and has none on its secrets; a right takes minutes.
az role assignment create --assignee-object-id "$(az ad signed-in-user show --query id --output tsv)" \
  --assignee-principal-type User --role "Key Vault Secrets Officer" --scope "$scope" --output none
readable=""
for _ in $(seq 30); do
  listed=$(az keyvault secret list --vault-name "$vault" --query '[].name' --output tsv 2> "$file") && readable=yes && break
  sleep 10
done
[ "$readable" ] || { echo "setup-keyvault: the vault's secrets can't be listed: $(cat "$file")" >&2; exit 1; }
there=$(echo "$listed" | tr '\n' ' ')
# Each is mounted under the name of a setting (objectAlias), by k8s/chart's keyVault.objects.
put Payment-DatabaseConnection "$DATABASE_URL"
put Payment-RabbitMQConnection "$RABBITMQ_URL"
put Payment-RedisConnection "$REDIS_URL"
put Payment-SecretKey "${SECRET_KEY:-$(openssl rand -hex 32)}"
[ -z "${STRIPE_API_KEY:-}" ] || put Payment-StripeApiKey "$STRIPE_API_KEY"
[ -z "${STRIPE_WEBHOOK_SECRET:-}" ] || put Payment-StripeWebhookSecret "$STRIPE_WEBHOOK_SECRET"
put Payment-LookupHmacKey "${LOOKUP_HMAC_KEY:-$(openssl rand -hex 32)}"
put Payment-EncryptionKeys "${ENCRYPTION_KEYS:-k1:$(openssl rand -base64 32)}"

az identity show --name "$identity" --resource-group "$group" --output none 2> /dev/null ||
  az identity create --name "$identity" --resource-group "$group" --output none
client=$(az identity show --name "$identity" --resource-group "$group" --query clientId --output tsv)
principal=$(az identity show --name "$identity" --resource-group "$group" --query principalId --output tsv)
az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
  --role "Key Vault Secrets User" --scope "$scope" --output none
issuer=$(az aks show --name "$cluster" --resource-group "$group" --query oidcIssuerProfile.issuerUrl --output tsv)
for account in payment-service payment-service-migrate; do
  az identity federated-credential create --name "$account" --identity-name "$identity" --resource-group "$group" \
    --issuer "$issuer" --subject "system:serviceaccount:$namespace:$account" --output none
done
echo "keyVault.name: $vault"
echo "keyVault.clientId: $client"
echo "keyVault.tenantId: $(az account show --query tenantId --output tsv)"
