# What an operator fears, done on purpose and under load: docs/operations/drills.md.
DRILL := VAR_DIR="$(VAR_DIR)" $(BIN)/python -m tests.drills

.PHONY: drills drill-failover drill-restore drill-rollover drill-upgrade

drills: setup ## All drills, one after the other: about ten minutes
	@$(DRILL) all

drill-failover: setup ## The database's primary dies under load, the standby is promoted
	@$(DRILL) failover

drill-restore: setup ## A backup is brought back under load
	@$(DRILL) restore

drill-rollover: setup ## A new version takes over under load: make drill-rollover [OLD=revision]
	@$(DRILL) rollover $(if $(OLD),--old "$(OLD)")

drill-upgrade: setup ## Old code on the new schema, and a roll-back, under load: [OLD=revision]
	@$(DRILL) upgrade $(if $(OLD),--old "$(OLD)")
