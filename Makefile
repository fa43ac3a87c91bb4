# One command sets up what it needs and does its job; run it as root, or with sudo at hand.
#
#   make demo          a four-node lab, its status, routes and a ping; make demo KEEP=1 leaves it up
#   make test          everything that must pass
#   make check         the static checks alone
#   make soak          what takes longer than a commit should wait
#   make bench         what each stop of the hot path takes, beside its budget; make bench STOPS=learn
#   make bench-peers   Wren beside BIRD, FRR, OpenBGPD and GoBGP, into docs/performance.md; minutes;
#                      make bench-peers FULL=1 takes hours; as root
#   make fuzz          coverage-guided fuzzing of the way in, 10 minutes; make fuzz FUZZ_SECONDS=60

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
FUZZ_SECONDS ?= 600

.PHONY: all setup setup-test demo test check unit soak bench bench-peers fuzz clean

all: test

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml .ci/setup
	.ci/setup base
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

setup-test: $(VENV)/.ready-test

$(VENV)/.ready-test: $(VENV)/.ready
	.ci/setup peers
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

demo: setup
	$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

check: setup-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: check
	$(BIN)/python -m tests.gate --workers $(WORKERS)

unit: setup-test
	$(BIN)/python -m pytest -m "not netns and not interop"

soak: setup-test
	$(BIN)/python -m pytest -m soak --timeout=1800
	$(BIN)/python -m pytest -n $(WORKERS) --hypothesis-profile=soak --timeout=1800 \
	    tests/fsm/test_properties.py tests/policy tests/speaker/wire tests/speaker/rib

bench: setup-test
	$(BIN)/python -m benchmarks.budget $(STOPS)

bench-peers: setup-test
	$(BIN)/python -m benchmarks.peers.compare $(if $(FULL),--full) $(BENCH_OPTIONS)

fuzz: setup-test
	$(BIN)/python -m pip install --quiet atheris
	$(BIN)/python -m tests.fuzz.fuzz_update -max_total_time=$(FUZZ_SECONDS) -max_len=8192

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
