# `make run` and `make test` need Python 3.11 or newer, and nothing else. What ships the service, and
# watches it, is in make/*.mk.
PYTHON ?= python3
# .env is docker-compose.yml's alone; Flask would read it, where a certain package is installed.
export FLASK_SKIP_DOTENV := 1
VENV := .venv
BIN := $(VENV)/bin
VAR_DIR ?= var
SERVICE_PORT ?= 8082
WITH_DATABASE := $(BIN)/python -m scripts.run --with-database --
# Who is done takes over from the others, and each begins with whole files, which share servers.
# The tools of tests/clients, and what they generate.
CLIENTS := .clients
NODE := PATH="$(CURDIR)/$(CLIENTS)/venv/bin:$$PATH"
# Strangers that are no Python packages, or fit in no environment with ours (tests/strangers).
STRANGERS := .strangers
STRIPE_MOCK := 0.203.0
GO := GOPATH="$(CURDIR)/$(STRANGERS)/go" GOCACHE="$(CURDIR)/$(STRANGERS)/go/cache" \
      GOBIN="$(CURDIR)/$(STRANGERS)/bin" GOTOOLCHAIN=local GOFLAGS=-modcacherw
# What builds and checks what ships (make/image.mk, make/compose.mk).
SHIPPING := .shipping
PYTEST := $(BIN)/python -m pytest -n $(or $(TEST_WORKERS),auto) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: setup run demo test test-slow test-busy test-api bench bench-peers slow-clients screenshots lint audit-deps fmt \
        check check-long faults mutants \
        histories clients strangers smoke seed migrate flask clean help

setup: $(VENV)/.installed ## Make the virtual environment, or bring it up to date

$(VENV)/.installed: requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "setup: Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "setup: this Python has no venv: apt-get install python3-venv, or its like" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "setup: installing requirements-dev.txt"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: setup ## Run all of it here until Ctrl-C: database, web, worker, sandbox
	@$(BIN)/python -m scripts.run

demo: setup ## Rides beside a running make run, until Ctrl-C: make demo [DEMO_RATE=2]
	@$(BIN)/python -m scripts.demo

test: setup ## The test suite but for its slow tests, on a PostgreSQL and a Redis of its own
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: setup ## The tests that take more than 2 s each
	@$(PYTEST) -m slow $(ARGS)

test-busy: setup ## make test beside two busy loops per core, at equal priority
	@$(BIN)/python -m scripts.busy -- $(MAKE) --no-print-directory test ARGS='$(ARGS)'

test-api: setup ## The tests of the API only
	@$(PYTEST) -m "api and not slow" $(ARGS)

bench: setup ## Measure it: make bench [BENCH_SECONDS=15] [BENCH_ROWS=5000000]
	@VAR_DIR="$(VAR_DIR)" $(BIN)/python -m tests.bench

bench-peers: setup ## Measure it beside other services: make bench-peers [BENCH_SECONDS=10] [BENCH_ROUNDS=5]
	@VAR_DIR="$(VAR_DIR)" $(BIN)/python -m tests.bench.peers

slow-clients: setup ## What a thousand slow clients do to fifty honest ones
	@$(BIN)/python -m tests.bench.slowclients $(ARGS)

screenshots: setup ## The pictures of docs/panel.md, from a running make run and make demo
	@VAR_DIR="$(VAR_DIR)" SERVICE_PORT="$(SERVICE_PORT)" $(BIN)/python -m tests.screenshots

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit-deps: setup .audit/.installed ## Known weaknesses of all that is installed; asks the package index's database
	@.audit/bin/pip-audit --strict --progress-spinner off --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || \
	  { echo "audit-deps: the lines above name a weakness, or the database can't be asked from here" >&2; exit 1; }

.audit/.installed: requirements-audit.txt
	@echo "audit-deps: installing $<"
	@$(PYTHON) -m venv .audit
	@.audit/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

fmt: setup ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

check: lint test ## lint and test

check-long: setup ## What takes too long for CI: the suite beside busy loops, every mutant, ten minutes of faults, drills, compose brought up, five million payments
	@$(MAKE) --no-print-directory test-busy
	@$(MAKE) --no-print-directory mutants
	@FAULTS_SECONDS=600 $(MAKE) --no-print-directory faults
	@$(MAKE) --no-print-directory drills
	@$(MAKE) --no-print-directory compose-up-check
	@$(MAKE) --no-print-directory bench

faults: setup ## Two minutes of everything dying, and what holds after: make faults [FAULTS_SEED=...]
	@$(BIN)/python -m tests.campaign

mutants: setup ## Take each guard out in a copy, and see which test notices
	@$(BIN)/python -m tests.mutants $(ARGS)

histories: setup ## Thousands of random histories against a model: make histories [MODEL_EXAMPLES=2000]
	@MODEL_EXAMPLES="$${MODEL_EXAMPLES:-2000}" $(PYTEST) tests/test_model.py \
	  tests/test_every_door.py $(ARGS)

clients: setup $(CLIENTS)/node_modules/.installed ## Lint the OpenAPI document, generate clients of it, and let one charge
	@$(BIN)/python -m tests.clients

$(CLIENTS)/venv/.installed: tests/clients/requirements.txt
	@echo "clients: installing $<"
	@$(PYTHON) -m venv --clear $(CLIENTS)/venv
	@$(CLIENTS)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $< || \
	  { echo "clients: Node.js and the generators come as wheels; the lines above say which could not be installed" >&2; exit 1; }
	@touch $@

$(CLIENTS)/node_modules/.installed: $(addprefix tests/clients/, package.json package-lock.json .npmrc) $(CLIENTS)/venv/.installed
	@$(NODE) node --version >/dev/null || \
	  { echo "clients: the Node.js of $(CLIENTS)/venv does not run on this machine; its words are above" >&2; exit 1; }
	@echo "clients: installing tests/clients/package-lock.json"
	@cp $(filter tests/%,$^) $(CLIENTS)
	@cd $(CLIENTS) && $(NODE) npm ci --loglevel=error || \
	  { echo "clients: npm could not install tests/clients/package-lock.json; its words are above" >&2; exit 1; }
	@touch $@

strangers: setup $(STRANGERS)/.installed ## What other people's clients and servers say of our wires
	@$(PYTEST) tests/strangers $(ARGS)

$(STRANGERS)/.installed: tests/strangers/requirements.txt
	@echo "strangers: installing $<"
	@$(PYTHON) -m venv --clear $(STRANGERS)/venv
	@$(STRANGERS)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@echo "strangers: building stripe-mock $(STRIPE_MOCK)"
	@$(GO) $(STRANGERS)/venv/bin/go install github.com/stripe/stripe-mock@v$(STRIPE_MOCK)
	@cp $(STRANGERS)/go/pkg/mod/github.com/stripe/stripe-mock@v$(STRIPE_MOCK)/embedded/openapi/spec3.json \
	  $(STRANGERS)/stripe-openapi.json
	@rm -rf $(STRANGERS)/go
	@[ ! -e tests/strangers/prism.sh ] || PYTHON=$(PYTHON) bash tests/strangers/prism.sh $(STRANGERS)/prism
	@touch $@

smoke: ## Walk through a running service with curl: make smoke [BASE_URL=...]
	@scripts/smoke.sh $(BASE_URL)

seed: setup ## Load the catalog, and a history: make seed PAYMENTS=file.csv [ARGS=...]
	@$(WITH_DATABASE) flask seed $(if $(PAYMENTS),--payments "$(PAYMENTS)") $(ARGS)

migrate: setup ## Bring the tables up to date
	@$(WITH_DATABASE) flask db upgrade

flask: setup ## A flask command on the service's database: make flask ARGS="operators list"
	@$(WITH_DATABASE) flask $(ARGS)

clean: setup ## Remove VAR_DIR, with its database, and the caches
	@$(BIN)/python -m scripts.run --check-stopped
	@printf 'Remove the database and the logs in %s? [y/N] ' "$(VAR_DIR)"; \
	  if [ -n "$(YES)" ]; then echo y; answer=y; else read -r answer; fi; \
	  [ "$$answer" = y ] || { echo "clean: nothing was removed" >&2; exit 1; }
	@cd "$(VAR_DIR)" && rm -rf postgres redis sandbox swish metrics logs run.lock encryption-keys secret-key
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name what; do printf '  %-12s %s\n' "$$name" "$$what"; done

include $(wildcard make/*.mk)
