# make run, make quick, make test, make soak, make check, make bench. Each does all the set-up it
# needs by itself.

BIN := .venv/bin
# What is compiled once is not compiled again by each of the many processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE
ROOMS := recovery db mail whop webhook daemon dashboard sandbox bench

# Tests at work side by side. The soak: what is drawn, how far it goes, and which of its tests.
WORKERS ?= 2
SEED ?= 1
TIMES ?= 10
TESTS ?= tests

.PHONY: run quick test soak check format bench setup clean
.DEFAULT_GOAL := run

setup:
	@scripts/setup
	@test -f .env || { cp .env.example .env; echo "== Made .env for development from .env.example"; }

# Postgres outlives the processes: what they write last still finds it.
run: setup
	@$(BIN)/python -m db serve sh -c '\
		$(BIN)/python -m db migrate && \
		$(BIN)/python -m sandbox.prepare && \
		exec $(BIN)/honcho -f Procfile.dev start'

# What needs no database, no browser and no process, in ten seconds.
quick: setup
	@$(BIN)/python -m pytest --quick -q -p no:schemathesis --numprocesses $(WORKERS)

# Each worker has a database of its own, and takes one file after the other, long ones first
# (tests/conftest.py). One file alone: .venv/bin/python -m pytest tests/test_x.py
test: setup
	@scripts/browser
	@scripts/axe
	@scripts/pgbouncer
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--durations 15

# The long proofs, ten times as far as `make test` takes them. Others: make soak SEED=7 TIMES=25
soak: setup
	@SOAK_SEED=$(SEED) SOAK_TIMES=$(TIMES) $(BIN)/python -m pytest $(TESTS) -m "soak or hypothesis" \
		--hypothesis-seed $(SEED) --numprocesses $(WORKERS) --dist worksteal --durations 15

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/vulture
	@$(BIN)/vulture $(ROOMS) tests
	@$(BIN)/python -m tests.structure

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup
	@$(BIN)/python -m bench

# The virtual environment and the demo's data. Never a database of your own.
clean:
	rm -rf .venv .data
