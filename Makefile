# Refrain's commands. Everything runs in .venv, which the first of them makes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Stages are started by name, so the environment's programs come first.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help repro fetch test lint format clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

repro: .venv/installed  ## run what has changed of the pipeline, then show the results
	@git rev-parse --verify --quiet HEAD >/dev/null || { \
	  echo "error: this folder is no git repository with a commit, which DVC needs: git init && git add -A && git commit -m start" >&2; exit 1; }
	@$(BIN)/python -m pipeline.params
	@$(RUN) dvc repro
	@$(BIN)/python -m pipeline.reporting.summary

fetch: .venv/installed  ## fetch a text of data/catalog.yaml: make fetch CORPUS=time_machine
	@$(BIN)/python -m pipeline.text.catalog fetch $(CORPUS)

test: .venv/installed  ## run the test suite
	@$(RUN) pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: .venv/installed  ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: .venv/installed  ## mend style
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

clean:  ## remove the environment and what tools left; artifacts stay
	rm -rf .venv build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis .checkpoints

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { \
	  echo "error: Refrain needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
