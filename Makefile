# make run, make test, make check, make bench. Each does all the set-up it needs by itself.

BIN := .venv/bin
ROOMS := recovery db mail whop webhook daemon dashboard sandbox bench

.PHONY: run test check format bench setup clean
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

test: setup
	@scripts/browser
	@scripts/axe
	@$(BIN)/python -m pytest

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
