# Everything runs from .venv, which is made from the locked requirements on first use.
#   make demo · test · serve · bench · load · fuzz · validate · chaos · lint      see README.md
#   make lock   resolve the dependencies of pyproject.toml anew into requirements/
#   make clean  remove the environment and all caches; the results in var/ stay

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED := $(PIP_INSTALL) --require-hashes -r
CODE := rqf_engine sweeps service tests benchmarks
LOCK_ENV := var/lock

.PHONY: demo test serve bench load fuzz validate chaos lint lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/run.stamp
	@$(BIN)/python -m service.demo

serve: $(VENV)/run.stamp
	@$(BIN)/rqf serve

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/peers.stamp
	@$(BIN)/python -m benchmarks

# In this order: at the beginning of a line, load is a word of make itself.
fuzz load: $(VENV)/test.stamp $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks.$@

validate: $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks.validation

chaos: $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks.chaos

lint: $(VENV)/lint.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: $(PYTHON) not found; name a Python >= 3.11 with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) --version) is too old, 3.11 or newer is needed;" \
	    "name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# Hashes cannot cover the project itself, so it goes in apart, with the locked setuptools and nothing fetched.
$(VENV)/run.stamp: pyproject.toml requirements/build.txt requirements/run.txt | $(BIN)/python
	@echo "Installing the locked dependencies into $(VENV) (a minute or two, once) ..."
	@$(LOCKED) requirements/build.txt
	@$(LOCKED) requirements/run.txt
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@echo "Compiling the kernels ..."
	@$(BIN)/python -c "from sweeps.tasks import warm_up; warm_up()"
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements/test.txt
	@echo "Installing what the tests need ..."
	@$(LOCKED) requirements/test.txt
	@touch $@

# The type check reads the tests and the benchmarks too, hence their dependencies.
$(VENV)/lint.stamp: $(VENV)/test.stamp $(VENV)/bench.stamp requirements/lint.txt
	@echo "Installing what the checks need ..."
	@$(LOCKED) requirements/lint.txt
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp requirements/bench.txt
	@echo "Installing what the benchmarks need ..."
	@$(LOCKED) requirements/bench.txt
	@touch $@

$(VENV)/peers.stamp: $(VENV)/bench.stamp requirements/peers.txt
	@echo "Installing the libraries to compare with (JAX, PyTorch, ...) ..."
	@$(LOCKED) requirements/peers.txt
	@$(LOCKED) requirements/torch.txt || echo "PyTorch's CPU build is not to be had here: left out."
	@touch $@

# One universal lock per use: versions and hashes for every platform and every Python >= 3.11.
RESOLVE = $(LOCK_ENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --upgrade

# The comparison is one of processors, so the CUDA libraries are left out. PyTorch's CPU build has a lock of its
# own, requirements/torch.txt (Linux, Python 3.11): where pip does not find that build, PyTorch is left out.
CUDA := torch cuda-bindings cuda-pathfinder cuda-toolkit triton $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
  cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)

lock: | $(BIN)/python
	@$(PYTHON) -m venv $(LOCK_ENV)
	@$(LOCK_ENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(RESOLVE) pyproject.toml --output-file requirements/run.txt
	$(RESOLVE) --group pyproject.toml:build --output-file requirements/build.txt
	for use in test lint bench; do \
	  $(RESOLVE) pyproject.toml --group $$use --constraint requirements/run.txt \
	    --output-file requirements/$$use.txt || exit 1; done
	$(RESOLVE) pyproject.toml --group peers --constraint requirements/run.txt \
	  $(addprefix --no-emit-package ,$(CUDA)) --output-file requirements/peers.txt
	@rm -rf $(LOCK_ENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +
