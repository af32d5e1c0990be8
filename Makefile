# Two commands matter: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process more than cores: while one waits, the others compute. Each has a database server of its own, so not too many.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 8 ? cores + 1 : 8)))
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup run test lint bench lock clean

setup: $(VENV)/.installed

run: setup
	$(BIN)/picloud lab

test: $(VENV)/.installed-test lint
	@sh tests/install-chromium.sh
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.hello
	$(BIN)/python -m benchmarks.isolation
	$(BIN)/python -m benchmarks.modules
	$(BIN)/python -m benchmarks.publish
	$(BIN)/python -m benchmarks.sdk
	$(BIN)/python -m benchmarks.triggers

# The versions of this environment become the locked ones; hosts never get into the file.
lock: $(VENV)/.installed-test
	{ sed -n '1p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ '; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PiCloud needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
		else \
			echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv) and try again."; exit 1; \
		fi; }

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test]'
	@touch $(VENV)/.installed $@
