# Two commands: `make demo` (the main job on the embedded default) and `make test`.
# Both bootstrap .venv from the hash-pinned lock; nothing but Python 3.11 or 3.12, make and gcc is needed.

PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-ray test-manifests test-rest test-portable chaos fuzz lint types docs bench lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $(READY)

demo: setup
	$(BIN)/python jobs/synthesize_duke_style.py

# Three at a time: one of them is mostly waiting for the processes of a Ray. One thread each, or they fight for the cores;
# and Ray's workers as urgent as the others: at their niceness of 15 they hardly run beside them.
test: setup
	@OMP_NUM_THREADS=1 RAY_worker_niceness=0 $(MAKE) --no-print-directory --jobs 3 --output-sync=target test-ray test-manifests test-rest

# The files that hold such tests are named, so that this half need not import what all others do.
test-ray: setup
	$(BIN)/python -m pytest -m ray $$(grep -rl --include='test_*.py' 'pytest\.mark\.ray' tests)

test-manifests: setup
	$(BIN)/python -m pytest -m "not ray" tests/manifests

test-rest: setup
	$(BIN)/python -m pytest -m "not ray" --ignore tests/manifests

# What computes, by instructions that every processor has: no result may lean on this one's.
test-portable: export ATEN_CPU_CAPABILITY = default
test-portable: export ONEDNN_MAX_CPU_ISA = AVX2
test-portable: export NPY_DISABLE_CPU_FEATURES = X86_V3 X86_V4 AVX512_ICL AVX512_SPR
test-portable: setup
	$(BIN)/python -m pytest tests/pipeline/generators/recipes tests/pipeline/reid tests/pipeline/generators/test_losses.py \
		tests/pipeline/common/test_precision.py tests/pipeline/measures tests/pipeline/experiments/test_transfer_quality.py

# Faults on purpose (20 minutes) and hostile input (10): `make chaos CHAOS="--only kills --minutes 2"`, `make fuzz FUZZ=...`.
chaos: setup
	$(BIN)/python -m tests.chaos $(CHAOS)

fuzz: setup
	$(BIN)/python -m tests.fuzz $(FUZZ)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: setup
	$(BIN)/mypy

# The pages of docs/ as a site in build/docs; a link to nowhere ends it.
docs: setup
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "pages: build/docs/index.html"

bench: setup
	$(BIN)/python benchmarks/main_job.py
	$(BIN)/python benchmarks/manifest_speed.py
	$(BIN)/python benchmarks/evaluation_size.py

# Resolve anew: the date in pyproject.toml (exclude-newer) decides which releases are seen.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-annotate -o requirements.lock

clean:
	rm -rf .venv runs
