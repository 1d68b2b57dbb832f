# Refrain's commands. Everything runs in .venv, which the first command creates.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LOCKED := $(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-build-isolation
# Stages call programs by name, so the environment's programs come first on the path. The shell's own PWD, and
# `python -m` instead of scripts: the folder's path may have quotes, spaces and dollar signs.
RUN := PATH="$$PWD/$(BIN):$$PATH"

# The server that `make server` starts, unless PREFECT_API_URL names another one.
SERVED := $(RUN) PREFECT_API_URL="$${PREFECT_API_URL:-http://127.0.0.1:4200/api}"

# The work pool that a worker serves, and all work pools in prefect.yaml.
POOL ?= refrain
POOLS ?= refrain cpu gpu

# Turns off the analytics of Prefect's client. For its server and for DVC, configuration files turn them off.
export DO_NOT_TRACK = 1

# Names of files are UTF-8, whatever the locale.
export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help repro flow server worker deploy fetch test test-slow test-coverage test-flows test-faults test-doors test-bits test-ui bench bench-gate bench-recipes bench-scaling bench-exercises replicate lint lint-page format clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

# A comparison that fails says so in one line: the results stand.
repro: .venv/installed  ## run the stages whose inputs have changed, then show the results and their changes
	@git rev-parse --verify --quiet HEAD >/dev/null || { \
	  echo "error: this folder is not a git repository with a commit, which DVC needs: run git init && git add -A && git commit -m start" >&2; exit 1; }
	@$(BIN)/python -m pipeline.cli check
	@$(RUN) python -m flows.workspace.dvc_program repro
	@$(BIN)/python -m pipeline.cli show
	@$(BIN)/python -m pipeline.cli diff --html reports/changes.html || true

flow: .venv/installed  ## the same as a Prefect flow, with stages side by side (ARGS="train@gru --force")
	@$(RUN) $(BIN)/python -m flows.reproduce $(ARGS)

server: .venv/installed  ## start a Prefect server with its pages at http://127.0.0.1:4200
	@$(RUN) $(BIN)/python -m flows.server.start

worker: .venv/installed  ## start a worker that runs deployments in this folder (POOL=gpu: the stages sent to that pool)
	@$(SERVED) $(BIN)/python -m flows.server.reach
	@$(SERVED) prefect worker start --pool $(POOL) --type process $(if $(filter-out refrain,$(POOL)),--limit 1)

deploy: .venv/installed  ## register the deployments of prefect.yaml, with their schedules, on the server
	@$(SERVED) $(BIN)/python -m flows.server.reach
	@for pool in $(POOLS); do $(SERVED) prefect work-pool create $$pool --type process --overwrite || exit; done
	@$(SERVED) prefect --no-prompt deploy --all

fetch: .venv/installed  ## fetch a text of data/catalog.yaml: make fetch CORPUS=time_machine
	@$(RUN) refrain fetch $(CORPUS)

test: .venv/installed  ## run the quick tests
	@$(RUN) pytest

test-slow: .venv/installed  ## test whole pipelines in DVC repositories, large texts, several processes (nine minutes)
	@$(RUN) pytest -m 'slow and not server and not ui and not faults and not doors and not bits'

test-coverage: .venv/installed  ## both of these, with their coverage (takes half as long again)
	@$(RUN) pytest -m 'not server and not ui and not faults and not doors and not bits' \
	  --cov --cov-report=term:skip-covered --cov-fail-under=90

test-flows: .venv/installed  ## test the flows on real Prefect servers (twenty minutes)
	@$(RUN) pytest -m server

test-faults: .venv/installed  ## kill processes, damage files, fill disks (six minutes)
	@$(RUN) pytest -m faults

test-doors: .venv/installed  ## play the attacker: hostile answers, open ports, connections to outside (four minutes)
	@$(RUN) pytest -m doors

test-bits: .venv/installed  ## compare bits with those of emulated processors, if qemu-user is installed (five minutes)
	@$(RUN) pytest -m bits --numprocesses=0

test-ui: .venv/installed  ## test Prefect's pages and the report's in Chromium, if it is installed
	@$(RUN) pytest -m ui --numprocesses=0

bench: .venv/installed  ## compare speed with the textbook's code (ten minutes; run nothing else meanwhile)
	@$(RUN) $(BIN)/python -m benchmarks.bench

bench-gate: .venv/installed  ## count how often the gate is wrong (hours)
	@$(RUN) $(BIN)/python -m benchmarks.gate

bench-scaling: .venv/installed  ## measure large texts and several processes (seven minutes)
	@$(RUN) $(BIN)/python -m benchmarks.scaling

bench-recipes: .venv/installed  ## time the recipes for Tiny Shakespeare (twelve minutes)
	@$(RUN) $(BIN)/python -m benchmarks.recipes

bench-exercises: .venv/installed  ## measure the textbook's exercises about cost (two minutes; run nothing else)
	@$(RUN) $(BIN)/python -m benchmarks.exercises

replicate: .venv/installed  ## run the textbook's published experiments (ten minutes or more) and write replications/
	@$(BIN)/python -m replications.fetch
	@$(RUN) dvc --cd replications repro

lint: .venv/installed  ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

lint-page:  ## check the page's scripts, as one script, with Biome from npm
	@mkdir -p build && cd pipeline/reporting/page && cat model.js decoding.js refrain.js view.js >../../../build/page.js
	@npx --yes @biomejs/biome@2.6.8 lint build/page.js

format: .venv/installed  ## fix style
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

clean:  ## remove the environment and the tools' caches; keep artifacts
	rm -rf .venv build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Installs what constraints.txt lists, each file checked against its hashes: first setuptools, which builds what has no
# wheel; then PyTorch, if it lies in a folder of pip's find-links; then the rest. Packages for Linux alone are CUDA's
# libraries, which take gigabytes: a PyTorch for CPUs, from find-links or installed already, does without them.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
	  echo "error: Refrain needs Python 3.11 to 3.14: run make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@sed -n '/^setuptools==/,/[^\]$$/p' constraints.txt | $(LOCKED) --requirement /dev/stdin
	@sed -n '/^torch==/,/[^\]$$/p' constraints.txt | $(LOCKED) --no-index --requirement /dev/stdin 2>/dev/null || true
	@if $(BIN)/python -m pip show torch 2>/dev/null | grep '^Requires:' | grep -v nvidia >/dev/null; \
	  then sed "/sys_platform == 'linux'/,/[^\]$$/d" constraints.txt; else cat constraints.txt; fi >.venv/locked.txt
	$(LOCKED) --requirement .venv/locked.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
