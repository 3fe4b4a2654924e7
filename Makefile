# Needs Python 3.11 or later, git and make. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 3

# A stamp is named after what it stands for, so an edited lock, pyproject.toml or a moved checkout makes a new one.
digest = $(shell { cat $(1) pyproject.toml; pwd; } 2>/dev/null | git hash-object --stdin | cut -c1-12)
RUNTIME_STAMP := $(VENV)/.stamp-runtime-$(call digest,requirements.lock)
DEV_STAMP := $(VENV)/.stamp-dev-$(call digest,requirements-dev.lock)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help demo test lint format sandbox-image images pools host soak bench mutants lock setup setup-dev clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) ARGS='for demo, host and mutants' PYTEST_ARGS='for test and bench' WORKERS='test processes'"

demo: $(RUNTIME_STAMP)  ## Set up, then turn the bundled datasets into verified episodes (no key, no Docker)
	@$(BIN)/python flows/episode.py $(ARGS)

test: $(DEV_STAMP)  ## Every test, benchmarks at toy size; those that need a Docker engine run when one answers
	@.ci/sandbox-image --if-stale
	@.ci/flow-image --if-stale
	@TRIGPOINT_TEST_TOY=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(DEV_STAMP)  ## ruff and mypy --strict
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/python -m mypy .ci/lock.py .ci/install.py .ci/mutants.py

format: $(DEV_STAMP)  ## Rewrite the sources as ruff wants them
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

sandbox-image:  ## Build the image of the docker runtime (BASE_IMAGE=..., WHEELS=folder for builds without a network)
	@.ci/sandbox-image

images:  ## Build the images of flow runs and of sandboxes, where stale; their digests go to build/images.json
	@.ci/images

pools: $(RUNTIME_STAMP)  ## Tell the server at PREFECT_API_URL of work pools, the cap on sandboxes and block types
	@$(BIN)/python -m blocks.work_pools $(ARGS)

soak: $(DEV_STAMP)  ## A host on which 30 times something is killed at a random moment; about a quarter of an hour
	@TRIGPOINT_TEST_KILLS=30 TRIGPOINT_REQUIRE_ENGINE=1 $(BIN)/python -m pytest -q tests/end_to_end/test_two_hosts.py -k killed

host: $(RUNTIME_STAMP)  ## Whether this machine is fit to run flows in containers; what is wrong, with the remedy (ARGS=--gpu)
	@$(BIN)/python -m blocks.host_check $(ARGS)

bench: $(DEV_STAMP)  ## The benchmarks: tables of timings, no pass or fail by time
	@.ci/sandbox-image --if-stale
	@$(BIN)/python -m pytest -m benchmark -s $(PYTEST_ARGS) tests/benchmarks

mutants: $(DEV_STAMP)  ## How many small defects in answers, votes, keys and admission the tests notice (ARGS='flows.answers.*')
	@nice -n 10 $(BIN)/python -m mutmut run --max-children $(WORKERS) $(ARGS)
	@$(BIN)/python .ci/mutants.py

lock: $(DEV_STAMP)  ## Resolve the lock files anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(BIN)/python .ci/lock.py --uv $(BIN)/uv $(ARGS)

setup: $(RUNTIME_STAMP)  ## The virtual environment that demo uses
setup-dev: $(DEV_STAMP)  ## The virtual environment that test and lint use

clean:  ## Remove the virtual environment and every cache (never data/)
	rm -rf $(VENV) build dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Trigpoint needs Python 3.11 or later; '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "'$(PYTHON)' cannot make a virtual environment; on Debian install python3-venv."; rm -rf $(VENV); exit 1; }

# Byte code is what takes long: it is written by all cores, and not for the libraries' own tests. A library may hold a file
# that no Python compiles, hence the `true`.
define install
	@echo "Setting up $(VENV) from $(1) (once per lock file)"
	@$(BIN)/python .ci/install.py $(1)
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib flows blocks sandbox_image || true
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.stamp-$(2)-*
	@touch $@
endef

$(RUNTIME_STAMP): | $(BIN)/python
	$(call install,requirements.lock,runtime)

$(DEV_STAMP): | $(BIN)/python
	$(call install,requirements-dev.lock,dev)
	@rm -f $(VENV)/.stamp-runtime-*
	@touch $(RUNTIME_STAMP)
