# On a fresh clone, `make book` builds the book and `make test` runs every test.
# Both make .venv first. `make serve` rebuilds in the browser as you write.

export PYTHONDONTWRITEBYTECODE =
export PATH := $(CURDIR)/.venv/bin:$(PATH)
BIN := .venv/bin
BUILD := $(BIN)/sphinx-build -q -W -d docs/_build/doctrees
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
UV := VIRTUAL_ENV=$(CURDIR)/.venv UV_LINK_MODE=copy $(BIN)/uv pip
PYTHONS := python3.12 python3 python3.13 python3.14 python
WHICH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))

.PHONY: book serve test unit lint lock bench clean

book: .venv/ready
	@$(BUILD) -b html docs docs/_build/html

serve: .venv/ready
	@$(BIN)/sphinx-autobuild -q --open-browser --watch src --ignore "*/docs/_build/*" \
		--ignore "*/docs/_ipython/*" --ignore "*/__pycache__/*" -d docs/_build/doctrees docs docs/_build/html

test: book
	@$(BIN)/pytest -q -n auto --dist worksteal

unit: .venv/ready
	@$(BIN)/pytest -q -n auto --ignore tests/book

lint: .venv/ready
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

lock: .venv/ready # `make lock upgrade=--upgrade` takes the newest of everything
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.12 \
		--generate-hashes --no-emit-index-url --no-annotate --quiet $(upgrade) \
		--custom-compile-command "make lock" --output-file requirements.txt

bench: .venv/ready
	@$(BIN)/python benchmarks/build.py

clean:
	@rm -rf docs/_build .pytest_cache .ruff_cache

.venv/ready: requirements.txt pyproject.toml
	@for python in $(PYTHONS); do \
		$$python -c "$(WHICH)" 2>/dev/null && exec $$python -m venv .venv; \
	done; echo "Install Python 3.12 or newer, with its venv module, and run make again." >&2; exit 1
	@echo "Installing the pinned packages into .venv (half a minute, once)"
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt | $(PIP) --require-hashes -r /dev/stdin
	@$(UV) sync -q --require-hashes requirements.txt || \
		{ echo "pip takes over from uv (some minutes)"; $(PIP) --require-hashes -r requirements.txt; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
