# The whole developer interface. Every target works on a fresh clone with Python 3.11 to 3.13 and nothing else installed:
# it makes .venv, installs what the target needs, and runs. `make PYTHON=python3.12 test` picks another interpreter.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
ARGS   ?=
# Three workers, for many tests wait for a process; tests of one file stay together, so that a file's servers are started once.
PYTEST ?= $(BIN)/python -m pytest -n 3 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint format bench soak lock clean

help:            ## List the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1|/' | column -t -s '|' 2>/dev/null || grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST)

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Trivet needs Python 3.11, 3.12 or 3.13, this is %d.%d: try make PYTHON=python3.11" % v)'
	@echo "making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --upgrade pip

# One mark per set of extras; a change of pyproject.toml installs again.
$(VENV)/.demo: $(BIN)/python pyproject.toml
	@echo "installing trivet[embedded,demo] into $(VENV)"
	@$(PIP) install -e '.[embedded,demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	@echo "installing trivet[test] into $(VENV)"
	@$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo     ## Agents, a provider that moves the model, a crash, a gate, a canary, drift, a rollback. ARGS=--real for real models.
	@$(BIN)/trivet demo $(ARGS)

serve: $(VENV)/.demo    ## The gateway on 127.0.0.1:8080 with an embedded store. ARGS="--config FILE" for your own.
	@$(BIN)/trivet serve $(ARGS)

test: $(VENV)/.test     ## All tests but the slow ones. ARGS=tests/wire for a part.
	@$(PYTEST) $(ARGS)

lint: $(VENV)/.test     ## ruff, its formatter, mypy.
	@$(BIN)/ruff check gateway tests bench
	@$(BIN)/ruff format --check gateway tests bench
	@$(BIN)/mypy

format: $(VENV)/.test   ## Let ruff lay out the code and mend what it can.
	@$(BIN)/ruff check --fix gateway tests bench
	@$(BIN)/ruff format gateway tests bench

bench: $(VENV)/.test    ## CPU, latency and memory beside nginx, Envoy, LiteLLM. ARGS="--rounds 5 --secs 2".
	@$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.test     ## The slow tests: thousands of crashes, an hour of load.
	@$(BIN)/python -m pytest -m slow --timeout 7200 $(ARGS)

LOCK := pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade -q
lock: $(BIN)/python     ## Renew the locks of the container in deploy/ from pyproject.toml.
	@$(PIP) install uv
	@$(BIN)/uv $(LOCK) pyproject.toml --extra embedded -o deploy/requirements.lock
	@$(BIN)/uv $(LOCK) deploy/build.in -o deploy/build.lock

clean:           ## Remove what the targets made.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/build *.egg-info
