# `make demo` and `make test` work from a fresh clone with Python 3.10 or newer; README.md has the same in plain lines.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo_output

.PHONY: demo test lint install

# A second `make demo` renders and trains nothing anew; after an interruption it goes on where it stopped.
# It prints the commands that it runs; they are listed in demo/run/steps.py.
demo: .venv/.installed
	@$(BIN)/python -m demo.run --out $(DEMO)

test: .venv/.installed-dev
	$(BIN)/python -m pytest

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: .venv/.installed

.venv/.installed: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch .venv/.installed $@
