# Everything a developer or an operator types. `make help` lists it.
# pip and npm are used as this machine configures them; nothing here names a registry.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-long check format web wheel bench clean system-packages

# The first interpreter that runs and is new enough; `make PYTHON=/path/to/python run` overrides it.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NPM := npm --prefix web
ARGS ?=

# Stamps: a second run of any target does only what changed since.
RUNTIME := .venv/.runtime
DEV := .venv/.dev
WEB_MODULES := web/node_modules/.installed
WEB_ROOT := signaling/webroot/index.html
WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' \
  -not -name '*.tsbuildinfo' 2>/dev/null)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUNTIME) $(WEB_ROOT) ## install, build and start the server on http://localhost:7880 (ARGS="--port 8000")
	@exec $(BIN)/mediaserver serve $(ARGS)

# Tests with real calls in real time mostly wait, but not beside tests that want all they can get.
QUIET := tests/e2e tests/interop tests/media tests/rig/test_rig.py
# Files in the order that tests/conftest.py gives them, not the longest list of tests first.
PYTEST := $(BIN)/python -m pytest -m "not long" --dist loadfile --no-loadscope-reorder
unexport PYTHONDONTWRITEBYTECODE  # or each worker and each server compiles everything anew

test: system-packages $(DEV) $(WEB_ROOT) ## install whatever is missing, then run all tests but the long ones
	$(PYTEST) -n 3 $(QUIET:%=--ignore=%)
	$(PYTEST) -n 2 $(QUIET)
	$(NPM) run --silent test

test-long: system-packages $(DEV) $(WEB_ROOT) ## the tests that take minutes
	$(BIN)/python -m pytest -m long

check: $(DEV) $(WEB_MODULES) ## formatter, linter, types and import rules, for Python and for web/
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(NPM) run --silent typecheck
	$(NPM) run --silent lint

format: $(DEV) $(WEB_MODULES) ## rewrite the sources the way `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(NPM) run --silent format

web: $(WEB_ROOT) ## build the web application into signaling/webroot

wheel: $(DEV) $(WEB_ROOT) ## build dist/*.whl, web application included
	$(BIN)/python -m build --wheel

bench: system-packages $(DEV) ## measure the media plane, uploads and finalizing (alone on the machine, please)
	$(BIN)/python -m tests.bench.forwarding
	$(BIN)/python -m tests.bench.recording
	$(BIN)/python -m tests.bench.uploading
	$(BIN)/python -m tests.bench.chunks
	$(BIN)/python -m tests.bench.rendering
	$(BIN)/python -m tests.bench.finalizing

clean: ## remove everything that was built; data/ stays
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
	  build dist signaling/webroot web/node_modules web/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system-packages:
	@tests/rig/system_packages.sh

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "mediaserver needs Python 3.11 or newer; none was found. Install it, or say where: make PYTHON=/path/to/python3.11 ..." >&2; \
	  exit 1; fi
	@tests/rig/system_packages.sh venv "$(PYTHON)"
	$(PYTHON) -m venv .venv

$(RUNTIME): pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $(RUNTIME) $@

$(WEB_MODULES): web/package.json web/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || { \
	  echo "The web application is built with Node 20 or newer; found: $$(node --version 2>/dev/null || echo none)" >&2; exit 1; }
	$(NPM) ci --include=dev --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_ROOT): $(WEB_MODULES) $(WEB_SOURCES)
	$(NPM) run --silent build
	@touch $@
