# Dashboards and alerts.
.PHONY: watch-check dashboard

watch-check: setup ## A real Prometheus scrapes the service under load; every panel shows something (about a minute)
	@$(BIN)/python -m tests.watching_check

dashboard: setup ## Write k8s/monitoring/grafana-dashboard.json anew
	@$(BIN)/python -m scripts.make_dashboard
