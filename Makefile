# All targets work in a fresh clone with only git, make and Python 3.11 or newer, and again after a
# git pull. They install into .venv only.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes would compile the package again
.PHONY: help demo docs test test-slow test-browser test-docs test-frontends test-matrix lint format bench bench-days soak lab screenshots \
	wheels clean force

# The interpreter for .venv; `make demo PYTHON=python3.12` chooses another one.
PYTHON ?= python3.13 python3.12 python3.11 python3.14 python3 python

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check --quiet --no-input

# Stamps of what is installed, by purpose. A stamp is outdated when a pull has changed the
# dependencies in pyproject.toml.
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
LAB := $(VENV)/.installed-lab
DOCS := $(VENV)/.installed-docs
RELEASE := $(VENV)/.installed-release
FRONTENDS := $(VENV)/.installed-frontends

# An editable installation points to this folder, so a clone that was moved is reinstalled.
MOVED := $(shell [ ! -e $(VENV)/.clone ] || [ "$$(cat $(VENV)/.clone)" = "$$PWD" ] || echo force)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' $(MAKEFILE_LIST) | \
	while read -r make name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

demo: $(RUNTIME) ## ten seconds of 9,000 simulated instruments, live in the terminal
	@$(VENV_PYTHON) -m kitepolars demo $(ARGS)

# What continuous integration asks of the tests in a browser.
BROWSER :=

SLOW := tests/notebooks tests/examples tests/benchmarks tests/release tests/widgets/test_memory.py tests/cli/test_demo.py \
	tests/test_process.py tests/cluster tests/days/test_storage.py tests/faults/test_soak.py tests/test_canary.py

FAST := $(addprefix --ignore=,$(SLOW) tests/browser tests/docs/test_site.py)

test: $(DEV) ## the tests; ARGS="tests/wire -x" for some of them
	$(VENV_PYTHON) -P -m pytest $(or $(ARGS),$(FAST))

test-slow: $(DEV) ## notebooks, examples, demonstrations, benchmarks
	$(VENV_PYTHON) -P -m pytest $(SLOW) $(ARGS)

test-browser: $(DEV) ## widgets in a real JupyterLab in a real browser (Chromium)
	$(VENV_PYTHON) -P -m pytest tests/browser $(BROWSER) $(ARGS)

docs: $(DOCS) ## the documentation, into docs/_build/html; ARGS=PAGE executes some pages only
	$(VENV_PYTHON) docs/build.py $(ARGS)

test-frontends: $(FRONTENDS) ## widgets in Notebook 7, Voilà and marimo in a real browser
	$(VENV_PYTHON) -P -m pytest tests/browser/test_front_ends.py --require-browser $(ARGS)

test-docs: $(DEV) ## build the documentation and open it in Chromium
	$(VENV_PYTHON) docs/build.py
	$(VENV_PYTHON) -P -m pytest tests/docs/test_site.py $(BROWSER) $(ARGS)

lint: $(DEV) ## ruff check, ruff format --check, mypy --strict
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy --strict

format: $(DEV) ## apply ruff's fixes and its formatting
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

# That of the widgets needs Chromium and the extra dev; that of days takes half an hour.
SELDOM := benchmarks/bench_widgets.py benchmarks/bench_days.py
WITHOUT_BROWSER := $(filter-out $(SELDOM),$(sort $(wildcard benchmarks/bench_*.py)))
BENCHMARKS = $(WITHOUT_BROWSER) $(if $(wildcard $(DEV)),benchmarks/bench_widgets.py)

bench: $(BENCH) ## all benchmarks, then docs/performance.md; ARGS=--quick for a short run
	@rm -f $(patsubst benchmarks/bench_%.py,artifacts/bench/%.json,$(BENCHMARKS))
	@set -e; for script in $(BENCHMARKS); do \
		echo "== $$script"; $(VENV_PYTHON) $$script $(ARGS); done
	@$(VENV_PYTHON) benchmarks/report.py

bench-days: $(DEV) ## a table of 60 million ticks, beside other stores; then docs/performance.md
	@$(VENV_PYTHON) benchmarks/bench_days.py $(ARGS)
	@$(VENV_PYTHON) benchmarks/report.py

soak: $(BENCH) ## memory over an hour of a market; then docs/performance.md
	@$(VENV_PYTHON) benchmarks/hour.py $(ARGS)
	@$(VENV_PYTHON) benchmarks/report.py

lab: $(LAB) ## the notebooks in JupyterLab, copied to kitepolars-notebooks/; ARGS="FOLDER"
	@$(VENV_PYTHON) -m kitepolars lab $(ARGS)

screenshots: $(DEV) ## the pictures of README and docs; needs Chromium
	@mkdir -p docs/images
	$(VENV_PYTHON) -m kitepolars demo --svg docs/images/demo.svg
	$(VENV_PYTHON) tests/browser/screenshots.py docs/images

wheels: $(RELEASE) ## the distributions of a release, checked, into dist/; ARGS="win musllinux" for some
	$(VENV_PYTHON) release/wheels.py $(ARGS)

test-matrix: $(RELEASE) ## the tests on Python 3.11 to 3.14, and with the oldest dependencies; ARGS="3.12 3.11-oldest" TESTS="tests/wire"
	$(VENV_PYTHON) release/matrix.py $(ARGS) --tests "$(or $(TESTS),$(FAST))"

clean: ## remove .venv, caches and artefacts
	rm -rf $(VENV) build dist artifacts docs/_build docs/_browser/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f kitepolars/_native.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): EXTRAS :=
$(DEV): EXTRAS := [dev]
$(BENCH): EXTRAS := [bench]
$(LAB): EXTRAS := [lab]
$(DOCS): EXTRAS := [docs]
$(RELEASE): EXTRAS := [release]
$(FRONTENDS): EXTRAS := [frontends]

# Installing compiles native.c and builds the front end of the widgets, so it depends on these, too.
BUILT := hatch_build.py $(wildcard kitepolars/*.c kitepolars/*.h) \
	$(wildcard frontend/*.json frontend/*.mjs frontend/src/*)

$(RUNTIME) $(DEV) $(BENCH) $(LAB) $(DOCS) $(RELEASE) $(FRONTENDS): pyproject.toml $(BUILT) $(VENV_PYTHON) $(MOVED)
	@echo "Installing kitepolars$(EXTRAS) into $(VENV); the first time takes about a minute"
	@$(PIP) install --editable '.$(EXTRAS)'
	@echo "$$PWD" > $(VENV)/.clone
	@touch $@

$(VENV_PYTHON):
	@./.ci/make-venv $(VENV) $(PYTHON)

force:
