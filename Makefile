# `make demo` and `make test` need Python 3.11 or newer and nothing else: each sets up its own virtual
# environment from pyproject.toml, again only when pyproject.toml has changed.

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin

# The first interpreter that is new enough. A name on the PATH may be a shim that runs nothing, hence the trial.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
		"$$python" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo "$$python"; break; }; \
	done)
endif

# A second interpreter for the tests: 3.12 is what clusters want (README, "Install"). Empty where there is none, or
# where $(PYTHON) is 3.12 itself.
IS_312 := import sys; sys.exit(sys.version_info[:2] != (3, 12))
ifndef PYTHON_312
PYTHON_312 := $(shell $(PYTHON) -c '$(IS_312)' 2>/dev/null || \
	for python in python3.12 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12*/bin/python; do \
		"$$python" -c '$(IS_312)' 2>/dev/null && { echo "$$python"; break; }; \
	done)
endif

PYTEST_ARGS ?= -n 2 --dist worksteal

# On 3.12 without the tests of what is read from files and networks and written to files, of pruning, of polars' answers,
# of budgets, of recipes, of pictures, of notebooks and of the shape of the code, which are the same on every Python. What
# differs is the language, dask's expressions and schedulers, and pickling; and xarray is the oldest.
SAME := parity backends budgets testing storage catalog cataloguing faults read h5 references amending plot deploy \
	plan/test_prune.py plan/test_prune_sessions.py plan/test_prune_statistics.py cli/test_catalog.py \
	conversion/test_killed.py conversion/test_tables.py conversion/test_target.py conversion/test_names.py \
	adapters/polars_frame/test_scan_equals_memory.py adapters/polars_frame/test_translate.py \
	test_notebooks.py test_architecture.py
FAST := $(SAME:%=--ignore=tests/%)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint bench clean

help:  ## Say what can be made
	@sed -nE 's/^([a-z]+):.*##/make \1 \t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo-installed  ## Write a few sessions, ask them one question on a local cluster, draw the answer
	@$(BIN)/python notebooks/demo.py

# Every check runs and reports, whether or not the one before it passed. mypy has one process and takes a minute: it runs
# beside the tests, which wait now and then, and reports after them. import-linter's cache keeps the imports of a
# file that has not changed, even where a module that it names has come or gone since: hence without.
test: $(VENV)/.dev-installed $(if $(PYTHON_312),.venv-3.12/.test-installed)  ## Lint, types, import contract and tests
	@failed=; \
	check() { echo; echo "== $$*"; "$$@" || failed="$$failed; $$*"; }; \
	check $(BIN)/ruff check; \
	check $(BIN)/ruff format --check; \
	$(BIN)/mypy > $(VENV)/mypy.txt 2>&1 & types=$$!; \
	check $(BIN)/lint-imports --no-logo --no-cache; \
	check $(BIN)/python -m pytest $(PYTEST_ARGS); \
	if [ -n "$(PYTHON_312)" ]; then check .venv-3.12/bin/python -m pytest $(PYTEST_ARGS) $(FAST); fi; \
	wait $$types; code=$$?; \
	mypy() { cat $(VENV)/mypy.txt; return $$code; }; \
	check mypy; \
	echo; \
	if [ -n "$$failed" ]; then echo "FAILED$$failed"; exit 1; fi; \
	echo "All checks passed."

lint: $(VENV)/.dev-installed  ## Repair and format what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev-installed  ## Run the benchmarks (an hour and more; builds an environment for each peer)
	$(BIN)/python -m benchmarks.tables
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.catalog
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.remote
	$(BIN)/python -m benchmarks.series
	$(BIN)/python -m benchmarks.queries
	$(BIN)/python -m benchmarks.zarr_sessions
	$(BIN)/python -m benchmarks.references
	$(BIN)/python -m benchmarks.pynwb_streaming
	$(BIN)/python -m benchmarks.memory

clean:  ## Remove environments, caches and output
	rm -rf .venv .venv-* demo-output dist build benchmarks/.work benchmarks/.venvs
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find nwb_dask tests notebooks deploy benchmarks -name __pycache__ -prune -exec rm -rf {} +

# A stamp per set of extras. The environment is made anew when its interpreter is gone or is not the one asked for.
define install
	@test -n "$(1)" || { echo "nwb_dask needs Python 3.11 or newer; name one: make PYTHON=/path/to/python ..."; exit 1; }
	@$(2)/bin/python -m pip --version >/dev/null 2>&1 || $(1) -m venv --clear $(2)
	@echo "Installing nwb_dask[$(3)] into $(2) (once)"
	@$(2)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(3)]' $(4)
	@touch $@
endef

$(VENV)/.demo-installed: pyproject.toml
	$(call install,$(PYTHON),$(VENV),demo)

$(VENV)/.dev-installed: pyproject.toml
	$(call install,$(PYTHON),$(VENV),dev)

# With the oldest xarray that is supported (pyproject.toml).
.venv-3.12/.test-installed: pyproject.toml
	$(call install,$(PYTHON_312),.venv-3.12,test,'xarray==2025.7.1')
