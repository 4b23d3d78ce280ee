# What an operator fears, done on purpose and under load: docs/operations/drills.md.
DRILL := VAR_DIR="$(VAR_DIR)" $(BIN)/python -m tests.drills

.PHONY: drills drill-failover

drills: setup ## All drills, one after the other: about ten minutes
	@$(DRILL) all

drill-failover: setup ## The database's primary dies under load, the standby is promoted
	@$(DRILL) failover
