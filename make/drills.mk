# What an operator fears, done on purpose and under load: docs/operations/drills.md.
DRILL := VAR_DIR="$(VAR_DIR)" $(BIN)/python -m tests.drills
# A Go program, built once with the Go of this machine.
TOXIPROXY := .shipping/bin/toxiproxy-server
TOXIPROXY_VERSION := 2.12.0

.PHONY: drills drill-failover drill-restore drill-rollover drill-upgrade drill-network

drills: setup $(TOXIPROXY) ## All drills, one after the other: ten to fifteen minutes
	@$(DRILL) all

drill-failover: setup ## The database's primary dies under load, the standby is promoted
	@$(DRILL) failover

drill-restore: setup ## A backup is brought back under load
	@$(DRILL) restore

drill-rollover: setup ## A new version takes over under load: make drill-rollover [OLD=revision]
	@$(DRILL) rollover $(if $(OLD),--old "$(OLD)")

drill-upgrade: setup ## Old code on the new schema, and a roll-back, under load: [OLD=revision]
	@$(DRILL) upgrade $(if $(OLD),--old "$(OLD)")

drill-network: setup $(TOXIPROXY) ## Late, cut and half-open connections under load; needs Go 1.23
	@$(DRILL) network

$(TOXIPROXY):
	@command -v go >/dev/null || { echo "drill-network: Go is needed to build toxiproxy" >&2; exit 1; }
	@echo "drill-network: building toxiproxy $(TOXIPROXY_VERSION)"
	@GOPATH="$(CURDIR)/.shipping/go" GOCACHE="$(CURDIR)/.shipping/go/cache" \
	  GOBIN="$(CURDIR)/.shipping/bin" GOTOOLCHAIN=local GOFLAGS=-modcacherw \
	  go install github.com/Shopify/toxiproxy/v2/cmd/server@v$(TOXIPROXY_VERSION)
	@mv .shipping/bin/server $@
