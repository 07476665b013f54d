# From a bare clone: `make demo`, `make test`. Needs make, bash and Python 3.11 or newer; nothing is installed outside this folder.
#   PYTHON=python3.12   another interpreter        TORCH=cpu   smaller torch without CUDA (uv --torch-backend: cpu, cu130, auto, ...)
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-newest lint bench pictures constraints

SHELL  := /bin/bash
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= demo
SEEDS  ?= 3 4 5
GRAPHS ?= retrieve imagescope cotrr adaptive
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# the newest Python beside it that the libraries have wheels for; NEWEST=... names another
NEWEST ?= $(shell for v in 3.13 3.12; do for p in python$$v $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$v.*/bin/python$$v; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { echo $$p; exit; }; done; done)
NEWEST_VENV  := .venv-newest
NEWEST_TESTS ?= tests/security tests/packaging tests/test_api.py tests/common/test_untrusted.py tests/chat/test_access_control.py
TORCH   ?=
WORKERS ?= 2

export UV_PYTHON_DOWNLOADS := never
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM := false

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

setup: $(READY) ## install everything into .venv (again only when pyproject.toml or constraints.txt changed)

demo: setup ## the main job: draw a collection, index it, search it, write demo/index.html
	$(BIN)/imagescope demo --out $(OUT)

test: setup ## all tests, WORKERS files at a time
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-newest: setup ## the security and packaging tests on the newest Python of this machine, in .venv-newest
ifeq ($(NEWEST),)
	@echo "SKIPPED test-newest: there is no Python 3.12 or 3.13 on this machine (apt-get install python3.13, or NEWEST=...)"
else
	test -x $(NEWEST_VENV)/bin/python || $(NEWEST) -m venv $(NEWEST_VENV)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(NEWEST_VENV)/bin/python $(if $(TORCH),--torch-backend $(TORCH)) \
		--constraints constraints.txt --build-constraints constraints.txt --editable '.[dev]'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(NEWEST_VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(NEWEST_TESTS) $(ARGS)
endif

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy imagescope_agent graphs tests

bench: setup ## the first table of docs/results.md: GRAPHS on 1,000 unseen drawn scenes of each of SEEDS, resumable
	for seed in $(SEEDS); do for graph in $(GRAPHS); do \
		$(BIN)/imagescope eval scenes --root runs/scenes/$$seed --graph $$graph --seed $$seed --out runs/bench/$$graph/$$seed || exit; \
	done; done
	$(BIN)/imagescope compare $(GRAPHS:%=runs/bench/%) --measure R@1

pictures: setup ## the screenshots and diagrams of the documentation; needs Chromium
	$(BIN)/python -m imagescope_agent.lab.screenshots --out docs
	$(BIN)/imagescope graphs --draw docs/graphs

constraints: setup ## pin the newest versions that pyproject.toml allows, without addresses
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url --output-file constraints.txt

# uv, at the pinned version, goes into .venv too, so that nothing but Python has to be there beforehand.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python $(if $(TORCH),--torch-backend $(TORCH)) \
		--constraints constraints.txt --build-constraints constraints.txt --editable '.[dev]'
	@touch $@
