# The image, and its check.
.PHONY: image image-check

# The first of these that is here; or say which: make image BUILDER=podman
BUILDER ?= $(firstword $(notdir $(shell command -v docker podman buildah 2>/dev/null)))
VERSION = $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' payment_service/version.py)
COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

image: ## Build the image payment-service, by docker, podman or buildah: make image [BASE=...]
	@[ -n "$(BUILDER)" ] || { echo "image: docker, podman or buildah is needed" >&2; exit 1; }
	@$(BUILDER) $(if $(filter buildah,$(BUILDER)),bud --format docker,build) $(if $(BASE),--build-arg "BASE=$(BASE)") \
	  --build-arg "VERSION=$(VERSION)" --build-arg "COMMIT=$(COMMIT)" \
	  -t "payment-service:$(VERSION)" -t payment-service:latest .

image-check: setup $(SHIPPING)/venv/.installed ## Build the image and try it for real; on Debian, as root
	@$(BIN)/python -m tests.shipping.image_check

$(SHIPPING)/venv/.installed: tests/shipping/requirements.txt
	@echo "image-check: installing $<"
	@$(PYTHON) -m venv --clear $(SHIPPING)/venv
	@$(SHIPPING)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
