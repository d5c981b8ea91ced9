# Two commands: `make demo` (the main job on the embedded default) and `make test`.
# Both bootstrap .venv from hash-pinned locks; nothing but Python 3.11 to 3.13, make and gcc is needed.
# `make setup TORCH=cpu` first (or cuda12) chooses another build of PyTorch than that for CUDA 13; .venv remembers it.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
# Containers often forbid Python to keep what it compiled; then each of the many processes compiles torch anew, 2.5 s of CPU.
export PYTHONDONTWRITEBYTECODE :=
TORCH ?= $(or $(shell cat .venv/.torch 2>/dev/null),cuda13)
READY := .venv/.ready-$(TORCH)
TOOLS := .venv/.ready-tools-$(TORCH)
RUNTIME := requirements.lock $(wildcard requirements-$(TORCH).lock)

# Says what it fetches and how far it is: with CUDA it is gigabytes.
SYNC = $(BIN)/uv pip sync --python $(BIN)/python --require-hashes
# PyTorch's builds without CUDA are in its own index alone, which uv knows: the lock's version of them, without hashes.
FROM_PYTORCH = $(BIN)/uv pip install --python $(BIN)/python --torch-backend $(TORCH) \
	$$(sed -nE 's/^(torch|torchvision)==([^ ]+).*/\1==\2/p' requirements-cuda13.lock)
define finish
$(if $(wildcard requirements-$(TORCH).lock),,$(FROM_PYTORCH))
$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
rm -f .venv/.ready-*
echo $(TORCH) > .venv/.torch
endef

.PHONY: setup tools demo test test-ray test-manifests test-rest test-portable chaos fuzz lint types docs bench lock clean

setup: $(READY)

tools: $(TOOLS)

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.13 found; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(READY): $(RUNTIME) pyproject.toml | $(BIN)/uv
	$(SYNC) $(RUNTIME)
	$(finish)
	touch $(READY)

$(TOOLS): $(RUNTIME) requirements-dev.lock pyproject.toml | $(BIN)/uv
	$(SYNC) $(RUNTIME) requirements-dev.lock
	$(finish)
	touch $(READY) $(TOOLS)

demo: setup
	$(BIN)/python jobs/synthesize_duke_style.py

# Three at a time: one of them is mostly waiting for the processes of a Ray. One thread each, or they fight for the cores;
# and Ray's workers as urgent as the others: at their niceness of 15 they hardly run beside them.
test: tools
	@OMP_NUM_THREADS=1 RAY_worker_niceness=0 $(MAKE) --no-print-directory --jobs 3 --output-sync=target test-ray test-manifests test-rest

# The files that hold such tests are named, so that this half need not import what all others do.
test-ray: tools
	$(BIN)/python -m pytest -m ray $$(grep -rl --include='test_*.py' 'pytest\.mark\.ray' tests)

test-manifests: tools
	$(BIN)/python -m pytest -m "not ray" tests/manifests

test-rest: tools
	$(BIN)/python -m pytest -m "not ray" --ignore tests/manifests

# What computes, by instructions that every processor has: no result may lean on this one's.
test-portable: export ATEN_CPU_CAPABILITY = default
test-portable: export ONEDNN_MAX_CPU_ISA = AVX2
test-portable: export NPY_DISABLE_CPU_FEATURES = X86_V3 X86_V4 AVX512_ICL AVX512_SPR
test-portable: tools
	$(BIN)/python -m pytest tests/pipeline/generators/recipes tests/pipeline/reid tests/pipeline/generators/test_losses.py \
		tests/pipeline/common/test_precision.py tests/pipeline/measures tests/pipeline/experiments/test_transfer_quality.py

# Faults on purpose (20 minutes) and hostile input (10): `make chaos CHAOS="--only kills --minutes 2"`, `make fuzz FUZZ=...`.
chaos: tools
	$(BIN)/python -m tests.chaos $(CHAOS)

fuzz: tools
	$(BIN)/python -m tests.fuzz $(FUZZ)

lint: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: tools
	$(BIN)/mypy

# The pages of docs/ as a site in build/docs; a link to nowhere ends it.
docs: tools
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "pages: build/docs/index.html"

# One table in some five minutes; `benchmarks/` has more, each script says what.
bench: tools
	$(BIN)/python benchmarks/table.py

# Resolve anew: the date in pyproject.toml (exclude-newer) decides which releases are seen. One resolution of everything,
# then its parts: PyTorch with its CUDA, the development tools, the rest.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
BUT = sed -nE 's/^([a-z0-9-]+)==.*/--no-emit-package=\1/p'
lock: | $(BIN)/uv
	mkdir -p build
	cat requirements.lock requirements-cuda13.lock requirements-dev.lock > build/all.lock  # what is locked stays, if it can
	$(COMPILE) --quiet pyproject.toml --extra pose --group dev -o build/all.lock
	$(COMPILE) --quiet pyproject.toml --extra pose -c build/all.lock -o requirements.lock \
		$$(grep -E '^(torch|torchvision|triton|cuda-.*|nvidia-.*)==' build/all.lock | $(BUT))
	echo torch torchvision | tr ' ' '\n' | $(COMPILE) --quiet - -c build/all.lock -o requirements-cuda13.lock $$($(BUT) requirements.lock)
	echo 'torch<2.11 torchvision' | tr ' ' '\n' | $(COMPILE) --quiet - -c requirements.lock -o requirements-cuda12.lock $$($(BUT) requirements.lock)
	$(COMPILE) --quiet --group dev -c build/all.lock -o requirements-dev.lock $$($(BUT) requirements.lock requirements-cuda13.lock)

clean:
	rm -rf .venv runs
