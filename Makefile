# Two commands to know: `make run` (two portals on this machine) and `make test`.
# Everything lives in .venv/ and var/; `make clean` removes both.

PORT ?= 8000
CLIENT_PORT ?= 8001
N ?= 100
SEED ?=
RESET ?=
NAME ?=
ARGS ?=
# Test processes at once.
JOBS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make run            two connected portals on this machine (PORT=8000 CLIENT_PORT=8001 RESET=1)"
	@echo "make test           all tests (ARGS='tests/running -k serve' for some)"
	@echo "make check          style, types, layers, settings, missing migrations, locks"
	@echo "make demo-leads     post lifelike leads to the running portal (N=100 SEED=…)"
	@echo "make soak           kill, cut and stop everything by chance, 20 times, and count every lead (ARGS='--runs 3', FAULT_SEED=…)"
	@echo "make bench          how fast it is, beside what this machine can do (ARGS='--quick')"
	@echo "make new-connector  start a connector (NAME=acme_crm)"
	@echo "make format         put the code into its form"
	@echo "make lock           pin what requirements*.in ask for, with hashes"
	@echo "make screenshots    renew the pictures in docs/ (needs Chromium)"
	@echo "make clean          remove .venv, var and caches"

# The newest Python that can make a virtual environment; a name alone may be a shim of a version manager.
$(PY):
	@for python in python3.13 python3.12 python3.11 python3; do \
		if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "Setting up $(VENV) with $$("$$python" --version) (once)"; \
			exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo "No Python 3.11 or newer with the venv module was found. Install one (Debian: apt install python3 python3-venv) and try again." >&2; \
	exit 1

$(VENV)/.installed: requirements.txt | $(PY)
	@echo "Installing pinned packages (once)"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing pinned packages for checks and tests (once)"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

.PHONY: run
run: $(VENV)/.installed
	@exec $(PY) demo/run.py --port $(PORT) --client-port $(CLIENT_PORT) --stop-with $$PPID $(if $(RESET),--reset)

.PHONY: demo-leads
demo-leads: $(VENV)/.installed
	@exec $(PY) demo/leads.py --count $(N) $(if $(SEED),--seed $(SEED))

.PHONY: test
test: $(VENV)/.installed-dev
ifeq ($(ARGS),)
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m "not portals and not browser"
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m "portals or browser"
else
	@$(PY) -m pytest $(ARGS)
endif

.PHONY: check
check: $(VENV)/.installed-dev
	@mkdir -p var
	@echo "ruff" && $(VENV)/bin/ruff check --quiet .
	@echo "format" && $(VENV)/bin/ruff format --quiet --check .
	@echo "mypy" && $(VENV)/bin/mypy --no-error-summary .
	@echo "layers" && $(VENV)/bin/lint-imports --no-logo >var/lint-imports.log 2>&1 || { cat var/lint-imports.log; exit 1; }
	@echo "manage.py check" && $(PY) manage.py check --fail-level WARNING >/dev/null
	@echo "migrations" && $(PY) manage.py makemigrations --check --dry-run >var/makemigrations.log 2>&1 || { cat var/makemigrations.log; exit 1; }
	@echo "locks" && $(PY) .ci/locks.py check

.PHONY: format
format: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff check --quiet --fix . || true
	@$(VENV)/bin/ruff format --quiet .

# Made for the oldest Python that is supported, so that every machine gets the same versions.
LOCK := $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header
.PHONY: lock
lock: $(VENV)/.installed-dev
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -c requirements.txt -o requirements-dev.txt
	@$(PY) .ci/locks.py sign

# The seed of the first run is printed; FAULT_SEED= repeats it.
.PHONY: soak
soak: $(VENV)/.installed-dev
	@exec $(PY) -m tests.faults.soak $(ARGS)

.PHONY: bench
bench: $(VENV)/.installed-dev
	@exec $(PY) -m bench $(ARGS)

.PHONY: new-connector
new-connector: $(VENV)/.installed
	@test -n "$(NAME)" || { echo "Say its name: make new-connector NAME=acme_crm" >&2; exit 1; }
	@$(PY) manage.py new_connector $(NAME)

.PHONY: screenshots
screenshots: $(VENV)/.installed-dev
	@$(PY) demo/screenshots.py

.PHONY: clean
clean:
	@rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
