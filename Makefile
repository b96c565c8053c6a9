# softrl: `make train` learns a task, `make test` runs what CI runs; `make help` lists the rest.

PYTHON ?= python3
ENV ?= cartpole_swingup
RECIPE ?= sac
STEPS ?= 100k
SEED ?= 0
ARGS ?=

BIN := .venv/bin
# Action repeat 4 is what this first task is usually trained with from states; all else is trained as its recipe says.
REPEAT := $(if $(filter cartpole_swingup/sac,$(ENV)/$(RECIPE)),--env.repeat 4)
# Two workers with one thread each use two cores well, where two workers with all threads each would fight for them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

.PHONY: train test test-slow test-gpu lint system help

train: .venv/installed ## learn ENV with RECIPE for STEPS; further flags in ARGS
	$(BIN)/softrl train $(ENV) --recipe $(RECIPE) --steps $(STEPS) --seed $(SEED) $(REPEAT) $(ARGS)

test: lint ## style, types, and the tests that take seconds
	$(PYTEST)

test-slow: .venv/installed-dev ## learning, compiling, every task
	$(PYTEST) -m slow

test-gpu: .venv/installed-dev ## what can be seen on a GPU only
	$(BIN)/pytest -m gpu

lint: .venv/installed-dev ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

system: ## Debian packages for videos; asks for the password when you are not root
	$(if $(filter 0,$(shell id -u)),,sudo) sh -c 'apt-get update && apt-get install --yes --no-install-recommends libegl1 libgl1 libosmesa6'

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --editable .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --editable '.[dev]'
	touch $@ .venv/installed
