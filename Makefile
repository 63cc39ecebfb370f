# Each target makes the virtual environment that it needs. `make demo` is the whole way on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= configs/shakespeare.yaml

.PHONY: demo test check lint types bench data docs clean

# The stamp is the last thing written, so that an interrupted installation is done again.
# Upgrading pip first: old ones do not read some wheels' metadata.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llmkit needs Python 3.11 or newer; try: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,report,translate,serve,dev]'
	touch $@

data/%/SOURCE.yaml: data/sources.yaml $(VENV)/installed
	$(BIN)/python data/fetch.py $*

demo: $(VENV)/installed data/shakespeare/SOURCE.yaml
	$(BIN)/llmkit prepare $(CONFIG)
	$(BIN)/llmkit train $(CONFIG)
	$(BIN)/llmkit compress $(CONFIG) int8
	$(BIN)/llmkit evaluate $(CONFIG) --model model --model int8
	$(BIN)/llmkit generate $(CONFIG) --model int8 --prompt "To be, or not to be"

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

types: $(VENV)/installed
	$(BIN)/mypy

check: lint types test

# image.py trains for 21 minutes, the last one for 18; finished rows are not measured again. The last three need the extra
# `bench`.
bench: $(VENV)/installed data/union/SOURCE.yaml data/shakespeare/SOURCE.yaml data/cancer/SOURCE.yaml data/credit/SOURCE.yaml data/movies/SOURCE.yaml data/digits/SOURCE.yaml
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/image.py
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,bench]'
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/against_gpt.py

data: $(VENV)/installed
	$(BIN)/python data/fetch.py --all

docs: $(VENV)/installed
	$(BIN)/python -m llmkit.cli.reference docs/config.md

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
