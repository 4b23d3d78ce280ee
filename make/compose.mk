# docker-compose.yml, and what works there as well as on make run and on a database of your own.
.PHONY: build up down restart ps shell logs health db-shell db-backup db-restore \
        sample-check compose-check compose-up-check

# Docker's own, or podman's: make up COMPOSE=podman-compose
COMPOSE ?= docker compose
PROFILES ?= demo
RUN_COMPOSE := COMPOSE_PROFILES=$(PROFILES) $(COMPOSE)

# Where logs, health and db-* look: on DATABASE_URL where it is set, else in compose where its
# database runs, else at make run's. ON=url, ON=compose and ON=run say it.
ON ?= $(if $(or $(DATABASE_URL),$(DB_HOST)),url,$(if $(shell $(COMPOSE) ps -q postgres 2>/dev/null),compose,run))
# Any other word, or url without an address, would mean another database than was meant.
IN_COMPOSE = $(if $(filter-out url compose run,$(ON)),$(error ON must be url, compose or run))$(if \
  $(and $(filter url,$(ON)),$(if $(or $(DATABASE_URL),$(DB_HOST),$(SECRETS_DIR),$(DATABASE_URL_FILE)),,x)),$(error \
  ON=url: DATABASE_URL is not set))$(filter compose,$(ON))
BASE_URL ?= http://127.0.0.1:$(SERVICE_PORT)

.env: | $(VENV)/.installed
	@$(BIN)/python -m scripts.write_env .env

setup: | .env

build: image ## Build the image for compose
	@[ "$(BUILDER)" != buildah ] || echo "build: docker or podman is needed to run it"

up: setup ## Start it with compose, and wait until it is ready: make up [PROFILES=demo,monitoring]
	@$(RUN_COMPOSE) up -d
	@for _ in $$(seq 120); do curl -fsS -o /dev/null "$(BASE_URL)/health/ready" 2>/dev/null && break; sleep 1; done; \
	  curl -fsS "$(BASE_URL)/health/ready" && echo || { echo "up: not ready after 120 s: make logs ON=compose" >&2; exit 1; }

down: ## Stop compose; what is in its volumes stays
	@$(RUN_COMPOSE) --profile demo --profile monitoring down

restart: ## Restart web and worker of compose
	@$(RUN_COMPOSE) restart api worker

ps: ## What runs in compose
	@$(RUN_COMPOSE) ps

shell: ## A shell in compose's web container
	@$(RUN_COMPOSE) exec api sh

db-shell: setup ## psql on the database: make db-shell [ON=url|compose|run]
	@$(if $(IN_COMPOSE),$(COMPOSE) exec postgres psql -U payments -d payments $(ARGS),$(ON_NO_COMPOSE) psql $(ARGS))

db-backup: setup ## Write backups/payments-<time>.dump: make db-backup [ON=url|compose|run]
	@$(ON_DATABASE) $(BIN)/python -m scripts.db_backup save

db-restore: setup ## Bring a backup back: make db-restore FILE=... [YES=1] [FORCE=1] [ON=...]
	@$(ON_DATABASE) $(BIN)/python -m scripts.db_backup restore "$(FILE)" $(if $(YES),--yes) $(if $(FORCE),--force)

# Compose's database by its port on this machine, with the password of .env.
# Neither there nor at make run's does an address of the environment count.
WITHOUT_ADDRESS := unset DATABASE_URL DATABASE_URL_FILE ConnectionStrings__DefaultConnection \
  DB_HOST DB_PORT DB_USER DB_NAME DB_PASS DB_PASSWORD DB_SSL_MODE SECRETS_DIR;
ON_DATABASE = $(if $(IN_COMPOSE),$(WITHOUT_ADDRESS) set -a; . ./.env; set +a; \
  DB_HOST=127.0.0.1 DB_PORT=$${POSTGRES_PORT:-5433} DB_USER=payments DB_NAME=payments \
  SANDBOX_PROVIDER_URL=http://127.0.0.1:$${SANDBOX_PORT:-8081} $(WITH_DATABASE),$(ON_NO_COMPOSE))
ON_NO_COMPOSE = $(if $(filter run,$(ON)),$(WITHOUT_ADDRESS)) $(WITH_DATABASE)

health: ## Ask the running service how it is
	@curl -sS "$(BASE_URL)/health/ready" && echo

logs: ## Follow the logs: make logs [ON=compose|run]
	@$(if $(IN_COMPOSE),$(RUN_COMPOSE) logs -f --tail 20,tail -n 20 -F "$(VAR_DIR)"/logs/*.log "$(VAR_DIR)"/*/*.log)

sample-check: ## Send every request of sample_requests/ to a running service: make sample-check [BASE_URL=...]
	@sample_requests/all.sh "$(BASE_URL)"

compose-check: setup $(SHIPPING)/venv/.installed ## The real Compose reads docker-compose.yml
	@for profiles in "" demo monitoring demo,monitoring; do \
	  COMPOSE_PROFILES=$$profiles $(SHIPPING)/venv/bin/docker-compose config -q || exit 1; \
	  echo "  ok  docker-compose config, profiles: $${profiles:-none}"; \
	done
	@! env -u DB_PASS $(SHIPPING)/venv/bin/docker-compose --env-file /dev/null config -q 2>/dev/null || \
	  { echo "compose-check: it starts without passwords" >&2; exit 1; }
	@echo "  ok  without .env it is refused"

compose-up-check: setup $(SHIPPING)/venv/.installed ## compose brought up for real by podman; on Debian, as root
	@tests/shipping/compose_up.sh
