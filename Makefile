PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test lint
repro: $(VENV)/ready
	python -m pipeline demo
	dvc repro
	@python -m pipeline results

test: $(VENV)/ready
	python -m pytest

lint: $(VENV)/ready
	ruff format --check .
	ruff check .
	pyright

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
