# Everything a developer or a CI job starts by hand. `make` alone lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A process a core; the tests of one file stay together, because they share what is costly to make.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
DEMO   := .demo
# Rooms whose tests below tests/unit run in one process; of what forked commands run, nothing is seen.
ROOMS  ?= records oci archive/tar check
CSTORE := $(BIN)/cstore --graph $(DEMO)/graph --run $(DEMO)/run --storage-driver vfs

.DEFAULT_GOAL := help
.PHONY: help demo test coverage faults lint try-package try-program bench clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.ready ## install into .venv, import this repository as a layer of a private store, use it and check it
	@mkdir -p $(DEMO) && echo '*' > $(DEMO)/.gitignore
	@test ! -d $(DEMO)/graph || $(CSTORE) wipe
	git archive --format=tar --output=$(DEMO)/source.tar HEAD
	$(CSTORE) import-layer --name demo --file $(DEMO)/source.tar
	$(CSTORE) layers
	@echo '$(CSTORE) changes demo'; $(CSTORE) changes demo | sed 10q
	@echo '$(CSTORE) diff demo | tar t'; $(CSTORE) diff demo | tar t | sed 10q
	$(CSTORE) diff demo | cmp - $(DEMO)/source.tar
	$(CSTORE) create-image --name demo demo
	$(CSTORE) create-container --name box demo
	$(CSTORE) layers --tree
	$(CSTORE) check
	@echo 'The layer gave back every byte that went in, and the store is sound. It is in $(DEMO); try: $(CSTORE) --help'

# Bytecode first: where Python may write none (PYTHONDONTWRITEBYTECODE), each of thousands of processes compiles all anew.
test: $(VENV)/.dev-ready ## install into .venv and run all tests that this machine allows
	$(BIN)/python -m compileall -q -j 0 cstore tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: $(VENV)/.dev-ready ## say which lines of ROOMS their own unit tests run
	$(BIN)/python -m pytest -q $(addprefix --cov=cstore/,$(ROOMS)) --cov-report=term:skip-covered $(addprefix tests/unit/,$(ROOMS))

faults: $(VENV)/.dev-ready ## try every fault of every command (as root, with strace; some hours), or FAULTS_ARGS="--sample 5"
	$(BIN)/python -m tests.faults $(FAULTS_ARGS)

lint: $(VENV)/.dev-ready ## check style and types
	$(BIN)/python -m ruff check cstore tests
	$(BIN)/python -m ruff format --check --quiet cstore tests
	$(BIN)/python -m mypy

# As pipx and uv have it, PROGRAM is a link to the program.
PROGRAM ?= $(INSTALLED)/bin/cstore

try-package: try-program ## use the cstore that was installed below INSTALLED: an import and an export, the manual, the completions
	@"$(PROGRAM)" completion bash | cmp - "$(INSTALLED)/share/bash-completion/completions/cstore.bash" && \
		test -s "$(INSTALLED)/share/man/man1/cstore.1" && test -s "$(INSTALLED)/share/man/man5/cstore-storage.conf.5"

try-program: ## use the program that is at PROGRAM: an import and an export
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cd "$$scratch" && mkdir files && echo hello > files/file && \
		tar -cf layer.tar -C files . && head -n 1 "$(PROGRAM)" | grep -qx '#!/bin/sh' && \
		set -- --graph "$$scratch/graph" --run "$$scratch/run" --storage-driver vfs && \
		"$(PROGRAM)" "$$@" import-layer --name base --file layer.tar > id && \
		"$(PROGRAM)" "$$@" diff base | cmp - layer.tar && \
		"$(PROGRAM)" "$$@" check > report

bench: $(VENV)/.dev-ready ## measure against containers-storage, in the same run (as root, where it is installed)
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

clean: ## remove the environment, the demo store and caches
	@test ! -d $(DEMO)/graph || $(CSTORE) wipe || echo 'the demo store could not be wiped; its files are deleted as they are'
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

# A whole environment is rebuilt when pyproject.toml changes: a stale dependency would test something else.
$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'cstore needs Python 3.11 or newer; say which with: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'this Python cannot make virtual environments; on Debian: apt-get install python3-venv' >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
