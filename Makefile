# Everything a fresh machine needs: Python 3.11 and this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An unpinned torch pulls gigabytes of CUDA packages on a CPU machine: constraints.txt is the tested set.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all lint type format clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Unblank needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[plot]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## train a tiny GLM on this machine and fill blanks with it
	$(BIN)/unblank demo

test: $(VENV)/.installed-dev  ## the fast test suite
	$(BIN)/python -m pytest -n 2

test-all: $(VENV)/.installed-dev  ## also the slow tests
	$(BIN)/python -m pytest -n 2 -m 'not gpu and not net'

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests docs benchmarks recipes README.md CONTRIBUTING.md CHANGELOG.md

type: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
