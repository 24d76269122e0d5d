# `make demo` and `make test` set everything up themselves on Linux and macOS with make and
# Python 3.11, 3.12 or 3.13.
PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
CORES ?= all
# `make CPU=1 ...` installs PyTorch's build for CPUs instead of the one that brings CUDA.
CPU ?=
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# uv is faster than pip, but knows nothing of pip's settings, such as a mirror. Where it fails, pip goes on.
install = $(BIN)/uv pip install --python $(1) --quiet $(2) || $(BIN)/python -m pip --python $(1) install --quiet $(2)
version = $$($(1) -c 'import sys; print(sys.version_info[:2])' 2>/dev/null)
export UV_COMPILE_BYTECODE ?= 1
# as pip does
export UV_SYSTEM_CERTS ?= 1
DEMO := --configfile workflow/studies/demo.yaml
ALL := --config study=demo-all 'select={items: null}'

.PHONY: help demo demo-all plan test test-fast test-all pytest matrix crf nnunet crash-test fuzz bench docs lint lint-style lint-types lint-workflow format lock clean

help: ## List the targets.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/'

.venv/.ready: requirements.lock requirements-cpu.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -c 'import sys; sys.exit(sys.platform in ("win32", "cygwin") and "Windows is not supported: use the Windows Subsystem for Linux.")'
	@# behind a link, what follows would change or empty the environment of another folder
	@[ ! -L .venv ] || [ ! -e .venv/pyvenv.cfg ] || \
	  grep -qsxF '$(CURDIR)/src' .venv/lib/python*/site-packages/__editable__.weaklesion-*.pth || \
	  { echo ".venv is a link to $$(readlink .venv), an environment that was not installed from this folder," \
	    "and make would change it. Remove the link (rm .venv) or, if the environment may go, empty it." >&2; exit 1; }
	@# One that is whole is kept, because it may be in use: only what has changed is installed. One whose
	@# installation was interrupted has no .ready.
	@if [ -e $@ ] && [ "$(call version,$(BIN)/python)" = "$(call version,$(PYTHON))" ]; then rm $@; \
	  else rm -f $@ && $(PYTHON) -m venv --clear .venv; fi
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	$(BIN)/python -m pip install --quiet uv
ifeq ($(CPU),)
	$(call install,$(BIN)/python,--requirement requirements.lock)
else
	$(BIN)/uv pip install --python $(BIN)/python --quiet --torch-backend cpu --requirement requirements-cpu.lock || \
	  { echo "CPU=1 needs PyTorch's own package index (download.pytorch.org). Where it cannot be reached," \
	    "leave CPU=1 out: 6.6 GB from PyPI or your mirror, of which CUDA is 4.3 GB." >&2; exit 1; }
endif
	touch $@

.venv/.dev: .venv/.ready requirements-dev.lock
	$(call install,$(BIN)/python,--no-deps --requirement requirements-dev.lock)
	touch $@

# Where no controller of Slurm answers, Snakemake would wait for it at each start (docs/how-to/slurm.md).
demo demo-all plan lint-workflow: export SLURM_CONF := /dev/null

demo: .venv/.ready ## Run the whole workflow on phantoms; the report is results/demo/report.html.
	$(SNAKEMAKE) --max-threads 1 $(DEMO)
	$(BIN)/snakemake $(DEMO) --report results/demo/report.html
	@echo "Open results/demo/report.html in a browser."

demo-all: .venv/.ready ## Run every item on the same phantoms; the report is results/demo-all/report.html.
	$(SNAKEMAKE) --max-threads 1 $(DEMO) $(ALL)
	$(BIN)/snakemake $(DEMO) $(ALL) --report results/demo-all/report.html
	@echo "Open results/demo-all/report.html in a browser."

plan: .venv/.ready ## Print jobs, hours, downloads and disk of the paper or a study: make plan STUDY=FILE.
	$(BIN)/weaklesion plan $(if $(STUDY),"$$STUDY")

test: .venv/.dev ## Run all checks, and all tests but the slowest.
	$(MAKE) --jobs 5 lint pytest MARKED="not slow"

test-fast: MARKED := not workflow
test-fast: pytest ## Run the tests that neither run Snakemake nor train for long.

test-all: .venv/.dev ## Run all checks and all tests.
	$(MAKE) --jobs 5 lint pytest

pytest: .venv/.dev # some tests call make, which must not take this one for its own
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL $(PYTEST) -m "$(MARKED)"

matrix: ## Test what is committed with several Pythons, each in a clone: make matrix PYTHONS="...".
	for python in $(PYTHONS); do \
	  folder=.matrix/$$(basename $$python) && rm -rf $$folder && git clone --quiet . $$folder && \
	  $(MAKE) -C $$folder PYTHON=$$(command -v $$python) test || exit 1; \
	done

crf: .venv/.ready ## Install what arms with a CRF need; requires a C++ compiler.
	$(BIN)/python -m pip install --quiet --no-deps pydensecrf2==1.1

nnunet: .nnunet/.ready ## Install what arms with nnU-Net need, in an environment of its own (190 MB).

# It sees the packages of .venv behind its own, some of which have other versions.
.nnunet/.ready: .venv/.ready requirements-nnunet.lock
	@# `--clear` empties the folder that a link leads to
	@[ ! -L .nnunet ] || { echo ".nnunet is a link to $$(readlink .nnunet), which make would empty." \
	  "Remove the link (rm .nnunet)." >&2; exit 1; }
	$(BIN)/python -m venv --clear --without-pip .nnunet
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$(.nnunet/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/behind.pth"
	$(call install,.nnunet/bin/python,--no-deps --requirement requirements-nnunet.lock)
	touch $@

crash-test: .venv/.dev ## Kill a study at 100 moments, restart it each time and compare the results.
	$(BIN)/python tests/crash/harness.py --points 100

lint: lint-style lint-types lint-workflow ## Check style, types and workflow.

lint-style: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: .venv/.dev
	$(BIN)/mypy

lint-workflow: .venv/.dev
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

fuzz: .venv/.dev ## Read 8,000 damaged files of every kind; a traceback, hang, wrong answer or harm fails.
	$(BIN)/python tools/fuzz.py

bench: .venv/.dev ## Measure speed and memory against bounds; updates docs/reference/benchmarks.md.
	$(BIN)/python tools/update_benchmarks.py

docs: .venv/.dev ## Build the documentation as a site, site/index.html; a broken link is an error.
	$(BIN)/sphinx-build --quiet --fail-on-warning --nitpicky --fresh-env -d .sphinx -c docs . site

format: .venv/.dev ## Format all code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

lock: ## Resolve all versions again: the lock files and the pins of envs/.
	$(PYTHON) tools/lock.py

clean: ## Remove all results and Snakemake's records; keep the raw files in resources/.
	find -H results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake
