# Refrain's commands. Everything runs in .venv, which the first of them makes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Stages call programs by name, so those of the environment come first.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

# The server that `make server` starts, unless PREFECT_API_URL names another one.
SERVED := $(RUN) PREFECT_API_URL="$${PREFECT_API_URL:-http://127.0.0.1:4200/api}"

# The work pool of a worker, and all work pools of prefect.yaml.
POOL ?= refrain
POOLS ?= refrain cpu gpu

# For Prefect's client; the analytics of its server and of DVC are off in their configuration files.
export DO_NOT_TRACK = 1

.DEFAULT_GOAL := help
.PHONY: help repro flow server worker deploy fetch test test-flows test-faults test-ui bench bench-recipes bench-scaling replicate lint format clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

repro: .venv/installed  ## run what has changed of the pipeline, then show the results
	@git rev-parse --verify --quiet HEAD >/dev/null || { \
	  echo "error: this folder is no git repository with a commit, which DVC needs: git init && git add -A && git commit -m start" >&2; exit 1; }
	@$(BIN)/refrain check
	@$(RUN) dvc repro
	@$(BIN)/refrain show

flow: .venv/installed  ## the same as a Prefect flow: stages side by side (ARGS="train@gru --force")
	@$(RUN) $(BIN)/python -m flows.reproduce $(ARGS)

server: .venv/installed  ## start a Prefect server, with its pages on http://127.0.0.1:4200
	@$(RUN) prefect server start

worker: .venv/installed  ## start a worker that runs deployments in this folder (POOL=gpu: stages sent to that pool)
	@$(SERVED) prefect worker start --pool $(POOL) --type process $(if $(filter-out refrain,$(POOL)),--limit 1)

deploy: .venv/installed  ## register the deployments of prefect.yaml with the server, schedules included
	@for pool in $(POOLS); do $(SERVED) prefect work-pool create $$pool --type process --overwrite || exit; done
	@$(SERVED) prefect --no-prompt deploy --all

fetch: .venv/installed  ## fetch a text of data/catalog.yaml: make fetch CORPUS=time_machine
	@$(RUN) refrain fetch $(CORPUS)

test: .venv/installed  ## run the test suite
	@$(RUN) pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

test-flows: .venv/installed  ## test the flows on real Prefect servers (five minutes)
	@$(RUN) pytest -m server

test-faults: .venv/installed  ## kill processes, damage files, fill disks (six minutes)
	@$(RUN) pytest -m faults

test-ui: .venv/installed  ## look at Prefect's pages in Chromium, where it is installed
	@$(RUN) pytest -m ui --numprocesses=0

bench: .venv/installed  ## measure speed beside the textbook's code (six minutes; run nothing else)
	@$(RUN) $(BIN)/python -m benchmarks.bench

bench-scaling: .venv/installed  ## measure large texts and several processes (seven minutes)
	@$(RUN) $(BIN)/python -m benchmarks.scaling

bench-recipes: .venv/installed  ## train the recipes for Tiny Shakespeare against the clock (twelve minutes)
	@$(RUN) $(BIN)/python -m benchmarks.recipes

replicate: .venv/installed  ## run the textbook's published experiments (ten to fifteen minutes) and write replications/
	@$(BIN)/python -m pipeline.text.catalog fetch jaychou_lyrics
	@$(BIN)/python -m pipeline.text.catalog fetch time_machine
	@$(RUN) dvc repro replications/dvc.yaml

lint: .venv/installed  ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: .venv/installed  ## mend style
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

clean:  ## remove the environment and what tools left; artifacts stay
	rm -rf .venv build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { \
	  echo "error: Refrain needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
