# Everything a fresh machine needs: Python 3.11 and this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An unpinned torch pulls gigabytes of CUDA packages on a CPU machine: constraints.txt is the tested set.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all test-hard test-lowest lint type format docs clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Unblank needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[plot]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

demo: $(VENV)/.installed  ## train a tiny GLM on this machine and fill blanks with it
	$(BIN)/unblank demo

test: $(VENV)/.installed-dev  ## the fast test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(VENV)/.installed-dev  ## also the slow tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not gpu and not net'

test-hard: $(VENV)/.installed-dev  ## kills, damaged files and odd inputs by the thousand, counted in a table
	UNBLANK_HARD=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not gpu and not net' tests/faults

# uv picks the oldest release that each requirement admits; its torch comes with CUDA, some gigabytes.
test-lowest:  ## the fast tests with the oldest releases that pyproject.toml allows
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=build/lowest build/lowest/bin/uv pip install --quiet --resolution lowest-direct --editable '.[dev]'
	build/lowest/bin/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests docs examples benchmarks recipes README.md CONTRIBUTING.md CHANGELOG.md

type: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-docs  ## the site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
