# Coracle's commands; a bare `make` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The first of these that is 3.11 to 3.13 and can make virtual environments.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11)
# Arguments for pytest, such as PYTEST='-k upsert -x'.
PYTEST ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(READY) ## Make .venv with Coracle (editable), its connectors and its tools

$(READY): pyproject.toml constraints.txt
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	  then found="$$python"; break; fi; done; \
	if [ -z "$${found:-}" ]; then \
	  echo "Coracle needs Python 3.11, 3.12 or 3.13 with its venv module (on Debian: apt-get install python3-venv)." >&2; exit 1; fi; \
	echo "venv: $$("$$found" --version) in $(VENV)"; \
	if ! [ -x $(BIN)/python ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then "$$found" -m venv --clear $(VENV); fi
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[jdbc]' --group test --group lint --group demo
	@touch $@

.PHONY: servers
servers: $(READY) ## Install the servers that tests need (as root: with apt-get), fetch their jars
	@$(BIN)/python -m tests.servers.install

.PHONY: lint
lint: $(READY) ## Style, formatting, types, and which package may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

.PHONY: format
format: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix-only -q
	$(BIN)/ruff format

.PHONY: test
test: lint servers ## Everything but the long checks: lint, unit, contract and integration tests
	$(BIN)/pytest -m 'not full' $(PYTEST)

.PHONY: test-unit
test-unit: $(READY) ## Unit and contract tests: no servers, seconds
	$(BIN)/pytest tests/unit tests/contract -m 'not full' $(PYTEST)

.PHONY: test-full
test-full: servers ## The long checks alone: a million rows, kills, memory
	$(BIN)/pytest -m full $(PYTEST)

.PHONY: cluster
cluster: $(READY) ## Start a Kubernetes of your own, built once (as root; 7 to 12 minutes the first time)
	@$(BIN)/python -m tests.cluster install
	@$(BIN)/python -m tests.cluster up

.PHONY: cluster-down
cluster-down: $(READY) ## Stop it, and remove all it left
	@$(BIN)/python -m tests.cluster down

.PHONY: test-cluster
test-cluster: servers cluster ## The tests on Kubernetes: that one, or yours if KUBECONFIG names it
	@$(BIN)/python -m tests.cluster image --dockerfile
	$(BIN)/python -m tests.cluster enter $(BIN)/pytest tests/cluster -m 'not full' $(PYTEST)

# The first of these that is here builds images; BASE and EXTRAS are the Dockerfile's.
BUILDER ?= $(firstword $(foreach builder,docker podman buildah,$(if $(shell command -v $(builder)),$(builder))))
IMAGE ?= coracle:dev

.PHONY: image
image: ## Build the image with docker, podman or buildah (IMAGE=registry.example.com/coracle:1)
	@if [ -z '$(BUILDER)' ]; then echo 'Install docker, podman or buildah to build images.' >&2; exit 1; fi
	$(BUILDER) build $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(EXTRAS),--build-arg EXTRAS=$(EXTRAS)) -t $(IMAGE) .

.PHONY: bench
bench: servers ## Measure Coracle beside the JVM's Kafka Connect and a bare script
	$(BIN)/python -m bench

.PHONY: crds
crds: $(READY) ## Write the CRDs and their documentation, from the model
	$(BIN)/python -m coracle.kube.crds

.PHONY: demo
demo: $(READY) ## Rows through an embedded broker, from nothing (KEEP=1 leaves it running)
	@KEEP='$(KEEP)' $(BIN)/python -m demo

.PHONY: manifests
manifests: $(READY) ## Render k8s/base from the Helm chart (needs helm, or HELM=path)
	$(BIN)/python k8s/render.py $(HELM)

.PHONY: constraints
constraints: $(READY) ## Refresh constraints.txt to the newest versions that pyproject.toml allows
	$(BIN)/python -m venv --clear build/constraints
	build/constraints/bin/python -m pip install -q 'pip>=25.1'
	PYTHONWARNINGS=ignore build/constraints/bin/python -m pip install -q -e '.[jdbc]' --group test --group lint --group demo
	build/constraints/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf build/constraints

.PHONY: clean
clean: ## Remove .venv and everything made here
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache service/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
