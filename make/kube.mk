# Kubernetes: k8s/chart is the source; a real API, made here, says whether it takes it.
.PHONY: k8s-render k8s-build k8s-check workflow-check

KUBE_CACHE ?= $(HOME)/.cache/kube-sim
# helm and kubectl of the machine, or those that tests/kube/up has built.
WITH_HELM = PATH="$$PATH:$$(echo $(KUBE_CACHE)/bin-*)"

k8s-render: setup ## Make k8s/*.yaml and the chart's copies anew; needs helm, or what k8s-build built
	@$(WITH_HELM) $(BIN)/python -m scripts.k8s_render

k8s-build: ## Build the programs of a Kubernetes API, once (Go 1.26): seven minutes of two cores
	@KUBE_CACHE="$(KUBE_CACHE)" KUBE_BUILD_ONLY=1 bash tests/kube/up

k8s-check: setup k8s-build ## Install, upgrade, roll back and apply it all on a real Kubernetes API
	@KUBE_CACHE="$(KUBE_CACHE)" bash tests/kube/check

ACTIONLINT_VERSION := 1.7.12
ACTIONLINT := .shipping/bin/actionlint-$(ACTIONLINT_VERSION)

workflow-check: $(ACTIONLINT) ## What actionlint says of .github/workflows; needs Go 1.23
	@$(ACTIONLINT)

$(ACTIONLINT):
	@command -v go >/dev/null || { echo "workflow-check: Go is needed to build actionlint" >&2; exit 1; }
	@echo "workflow-check: building actionlint $(ACTIONLINT_VERSION)"
	@GOPATH="$(CURDIR)/.shipping/go" GOCACHE="$(CURDIR)/.shipping/go/cache" \
	  GOBIN="$(CURDIR)/.shipping/bin" GOTOOLCHAIN=local GOFLAGS=-modcacherw \
	  go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)
	@mv .shipping/bin/actionlint $@
