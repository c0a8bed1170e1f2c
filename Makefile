# Two commands set everything up by themselves:
#   make speak PHOTO=photo.jpg     describe a photo aloud, with the embedded model and without PyTorch
#   make test                      run the tests, in an environment with PyTorch
# Each makes its own virtual environment, and makes it anew when pyproject.toml changes.

PYTHON ?= python3
PHOTO  ?= examples/beach.jpg
# Further options of `optophone speak`, for instance ARGS="--json" or ARGS="-o out.mp3".
ARGS   ?=
# Where the real data sets lie, for test-data and the scripts in runs/.
SHARED ?= ../shared

RUNTIME := .venv
DEV     := .venv-dev
PIP     := -m pip install --quiet --disable-pip-version-check

.PHONY: speak test test-data check fuzz bench reference clean help

speak: $(RUNTIME)/.ready
	@$(RUNTIME)/bin/optophone speak "$(PHOTO)" $(ARGS)

test: $(DEV)/.ready
	$(DEV)/bin/python -m pytest

test-data: $(DEV)/.ready
	OPTOPHONE_SHARED="$(SHARED)" $(DEV)/bin/python -m pytest -m shared_data

check: $(DEV)/.ready
	$(DEV)/bin/ruff check src tests benchmarks examples
	$(DEV)/bin/ruff format --check src tests benchmarks examples
	$(DEV)/bin/mypy

fuzz: $(DEV)/.ready
	PYTHONPATH=tests $(DEV)/bin/python -m robustness.fuzz pictures 20000
	for kind in bundles datasets vocabularies regions sounds; do \
	  PYTHONPATH=tests $(DEV)/bin/python -m robustness.fuzz $$kind 5000 || exit 1; \
	done

bench: $(DEV)/.ready
	$(DEV)/bin/python benchmarks/main_job.py

# Every module's docstrings as pages. Not in an extra: nothing else needs pdoc.
MODULES := optophone $(addprefix optophone.,core pipelines runtime checkpoints models data training evaluation export)
reference: $(DEV)/.ready
	$(DEV)/bin/python $(PIP) "pdoc>=15,<17"
	$(DEV)/bin/python -m pdoc --no-search --docformat google --output-directory build/reference $(MODULES)

clean:
	rm -rf $(RUNTIME) $(DEV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache

help:
	@sed -n '1,4s/^# \{0,1\}//p' Makefile
	@echo "  make test-data   tests on the real data sets in SHARED (default ../shared)"
	@echo "  make check       ruff and mypy"
	@echo "  make reference   the Python API as pages, in build/reference"
	@echo "  make fuzz        20,000 damaged pictures, 5,000 damaged bundles, manifests and sounds (half an hour)"
	@echo "  make bench       time from photo to sound, beside eager PyTorch"

# The stamp is written last, so an interrupted installation is made again.
$(RUNTIME)/.ready: pyproject.toml
	@echo "Setting up: about 200 MB, once."
	@$(PYTHON) -m venv $(RUNTIME)
	@$(RUNTIME)/bin/python $(PIP) -e .
	@touch $@

$(DEV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) "torch==2.13.0"
	$(DEV)/bin/python $(PIP) -e ".[train,voices,serve,eval,adapters,dev]"
	@touch $@
