# Every target starts from a bare checkout: Python 3.11 to 3.13 and make are all it takes.

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
HOLDFAST := $(BIN)/python -m holdfast.ops.cli
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help setup check test demo bench chaos clean python-found

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install everything into .venv, and the embedded broker into the user's cache
	@$(HOLDFAST) setup

check: setup ## Static checks: style, types, import direction, schema compatibility
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(HOLDFAST) schemas check

# A file's tests stay together: they share projects that take seconds to start.
test: check ## Static checks and all tests
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

demo: setup ## Run the support workflow end to end, with a crash in the middle
	$(HOLDFAST) demo

bench: setup ## Measure throughput, latency and cost per step on this machine
	$(HOLDFAST) bench steps

chaos: setup ## Kill processes under load, then prove that nothing was lost or done twice
	$(HOLDFAST) chaos

clean: ## Remove .venv and tool caches; projects' data and the user's cache stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

python-found:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || { \
		echo "error: Holdfast needs Python 3.11, 3.12 or 3.13; $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1)" >&2; \
		echo "  try: install one of them, then: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)" >&2; exit 1; }

# The stamp is written last, so an interrupted installation is taken up again.
$(INSTALLED): requirements.lock pyproject.toml | python-found
	@$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && $(PIP) --version >/dev/null 2>&1 || { \
		rm -rf $(VENV); \
		echo "making $(VENV) with $(PYTHON) ($$($(PYTHON) --version))"; \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
			echo "error: $(PYTHON) cannot make virtual environments with pip" >&2; \
			echo "  try: apt-get install python3-venv (Debian, Ubuntu), or another Python: make PYTHON=..." >&2; exit 1; }; }
	# Compiled when first imported: most of what comes along never is.
	$(PIP) install --no-compile --require-hashes --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
