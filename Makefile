# Development commands. `make help` lists them.

PYTHON ?= python3
PORT ?= 8000
ARGS ?=

BIN := .venv/bin
# uv is quick; where the network answers only to pip's own configuration (mirror, certificates), pip does the same.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python $(1) 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11

# Assigned with :=, so a stray DEBUG of the shell does not leak in; `make run DEBUG=0` still overrides.
# DATABASE_URL is left alone on purpose: set it to run or test on a PostgreSQL of yours.
export DEBUG := 1
export MAJOROPS_AUTH_MODE := dev

# What `check --deploy` judges: a production installation. Nothing connects to it.
SECRET = $$($(BIN)/python -c 'import secrets; print(secrets.token_hex($(1)))')
PRODUCTION = DEBUG=0 SECRET_KEY=$(call SECRET,40) ALLOWED_HOSTS=majorops.example.com \
	MAJOROPS_AUTH_MODE=proxy PROXY_SHARED_SECRET=$(call SECRET,24) PROXY_TRUSTED_CIDRS=10.0.0.0/8 \
	DATABASE_URL=postgres://majorops@db.internal/majorops?sslmode=verify-full

ONCE = $$($(BIN)/python -c "from tests.run import ONCE; print(*ONCE)")

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run test drill screens check check-lint check-format check-types check-migrations check-imports check-deploy fmt lock bench clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/base.stamp ## make .venv with what is needed to run

run: .venv/base.stamp ## migrate, load the demo, serve on 127.0.0.1:8000 with a worker beside it (PORT= overrides)
	@mkdir -p var
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/mim demo load
	@echo
	@echo '  MajorOps: http://127.0.0.1:$(PORT)/   (Ctrl-C stops it; the data stays)'
	@echo '  Open the page and pick who you are: mim@example.com, stakeholder@example.com,'
	@echo '  executive@example.com, admin@example.com or engineer@example.com. Or send the header:'
	@echo "  curl -H 'Cf-Access-Authenticated-User-Email: mim@example.com' http://127.0.0.1:$(PORT)/kpis"
	@echo
	@$(BIN)/mim worker --beside $$$$ & exec $(BIN)/uvicorn majorops.asgi:application --host 127.0.0.1 --port $(PORT) --no-proxy-headers --timeout-graceful-shutdown 5

test: .venv/dev.stamp ## run the tests on SQLite, then on PostgreSQL (ARGS="-k word" goes to pytest)
	@$(BIN)/python -m tests.run $(ARGS)

drill: .venv/dev.stamp ## run the long trials: 20,000 identity examples, raw sockets, killed workers, 200 rounds of races on both databases
	@DATABASE_URL=sqlite://:memory: $(BIN)/python -m pytest tests/drills -q -s
	@MAJOROPS_WHOLE_WALK=1 DATABASE_URL=sqlite://:memory: $(BIN)/python -m pytest -q -n2 --dist=loadfile $(ONCE)
	@MAJOROPS_RACE_ROUNDS=200 $(BIN)/python -m tests.run -q tests/incidents/test_races.py

screens: .venv/dev.stamp ## take the pictures of docs/screens.md anew (ARGS="log list" takes these only)
	@$(BIN)/python -m tests.browser.screens $(ARGS)

check: check-lint check-format check-types check-migrations check-imports check-deploy ## lint, format, types, migrations, import direction, deployment settings
	@echo '== all checks passed'

check-lint: .venv/dev.stamp
	@echo '== ruff check'
	@$(BIN)/ruff check .

check-format: .venv/dev.stamp
	@echo '== ruff format --check'
	@$(BIN)/ruff format --check .

check-types: .venv/dev.stamp
	@echo '== mypy'
	@$(BIN)/mypy

check-migrations: .venv/dev.stamp
	@echo '== manage.py makemigrations --check'
	@DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

check-imports: .venv/dev.stamp
	@echo '== import direction and house rules'
	@DATABASE_URL=sqlite://:memory: $(BIN)/python -m pytest -q tests/test_architecture.py

check-deploy: .venv/dev.stamp
	@echo '== manage.py check --deploy, production settings'
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

fmt: .venv/dev.stamp ## put the code in its format, imports sorted
	@$(BIN)/ruff check --quiet --select I --fix . ; $(BIN)/ruff format .

lock: .venv/uv.stamp ## write requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) pyproject.toml -o requirements/base.txt
	$(COMPILE) $(ARGS) pyproject.toml --extra dev -o requirements/dev.txt
	$(COMPILE) $(ARGS) requirements/uv.in -o requirements/uv.txt

bench: .venv/dev.stamp ## run the benchmarks
	@ls benchmarks/*.py >/dev/null
	@missed=; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script"; done; \
		test -z "$$missed" || { echo "Failed:$$missed" >&2; exit 1; }

clean: ## remove .venv, caches and build leftovers; var/ (the data) stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- The environment: pip brings a pinned uv, uv brings the rest, each against recorded hashes ---

.venv/uv.stamp: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'MajorOps needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@echo 'Making .venv'
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo 'No virtual environment could be made. On Debian: apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/base.stamp: .venv/uv.stamp requirements/base.txt pyproject.toml
	@echo 'Installing what MajorOps runs on'
	@$(call INSTALL,--require-hashes -r requirements/base.txt)
	@$(call INSTALL,--no-deps --no-build-isolation --editable .)
	@touch $@

.venv/dev.stamp: .venv/uv.stamp requirements/dev.txt pyproject.toml
	@echo 'Installing what MajorOps is tested with'
	@$(call INSTALL,--require-hashes -r requirements/dev.txt)
	@$(call INSTALL,--no-deps --no-build-isolation --editable .)
	@touch $@ .venv/base.stamp
