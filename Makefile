# Two commands do everything: `make bundle` and `make test`. Each sets up what it needs, in .venv and build/.
#
#   make bundle                              examples/hello from the local channel -> dist/hello-….tar
#   make bundle EXAMPLE=jupyter VERSION=2.0  another example (celery, elixir, flask, inference/v1, inference/v2), another version
#   make bundle EXAMPLE=~/my-project CHANNEL=conda-forge
#   make bench                               how fast it is, beside what people use today
#   make bench SIZES=1,3,10                  larger environments too: some 20 GB of disk and half an hour
#   make check                               ruff, mypy, unit tests and the quick ones of shell and real tools: before a commit
#   make bench BENCH=--locks                 how fast it locks, alone
#   make test TESTS=tests/e2e WORKERS=0      a part of the tests, one after the other
#   make test-all                            all of them on each system and shell, and all faults
#   make sweep                               whether what runs by hand runs as a service: about 100 projects
#   make sweep GROUPS=web,data               some groups of them; GROUPS=learning PROJECTS=ray: some projects
#   make figures                             writes the READMEs' tables again, from what `make bench` has measured
#   make reference                           writes docs/reference/bundle-toml.md again, after a change to bundle.toml's keys
#   make messages                            writes tests/unit/messages.txt again, after a change to what people read
#   make requirements                        writes requirements.txt anew, after a change to pyproject.toml
#   make release                             sdist, wheel, checksums and changes of the tagged commit -> dist/release
#   make zipapp                              conda-bundler and all that it needs as one file -> dist/conda-bundler-….pex
#   make fuzz FUZZ_SECONDS=600               other bytes for every parser of foreign ones; a minute in all, unless said
#   make docs                                the documentation as a site, in build/site
#   make test-large                          two environments of several gigabytes: 40 GB of disk and half an hour

PYTHON ?= python3
EXAMPLE ?= hello
CHANNEL ?= local
VERSION ?=
SIZES ?= 1,3
BENCH ?=
TESTS ?=
LARGE ?= tests/large
GROUPS ?=
PROJECTS ?=
UPGRADE ?=
FUZZ_SECONDS ?= 60
FUZZ ?=
# More than there are processors: an end-to-end test waits for systemd half of its time.
WORKERS ?= $(shell expr $$(nproc) \* 3)

# What `make check` runs beside the unit tests: files of tests/integration whose tests take a moment each.
QUICK := become_sh codemarks copied_sh decompressor_sh elf environment_shapes exec_sh external files_sh gpu_sh groups_sh \
	hardware_sh harmless_sh instances_sh libraries_sh names_sh networks_sh records_sh secrets_sh settings_sh sockets_sh terminal tls \
	watch_sh
# The tests start thousands of Pythons, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PROJECT := $(if $(wildcard examples/$(EXAMPLE)),examples/$(EXAMPLE),$(EXAMPLE))
# What the example needs beside the everyday packages has a channel of its own.
SETS := $(filter celery elixir flask inference jupyter,$(firstword $(subst /, ,$(EXAMPLE))))
LOCAL := $(CURDIR)/build/channel$(addprefix -,$(SETS))
OPTIONS := $(if $(filter local,$(CHANNEL)),--channel file://$(LOCAL) --virtual-packages $(LOCAL)/virtual-packages.yml,\
	--channel $(CHANNEL)) \
	$(if $(VERSION),--bundle-version $(VERSION))

.DEFAULT_GOAL := bundle
.PHONY: bundle channel bench figures check test test-all test-large sweep fuzz format lint docs reference messages recording requirements release zipapp clean

bundle: .venv/.ready $(if $(filter local,$(CHANNEL)),channel)
	$(if $(wildcard $(PROJECT)/make-release),$(PROJECT)/make-release)
# The local channel is made anew from what this machine has, so its lockfile is, too; a real one is only
# locked again when environment.yml has changed.
	$(if $(filter local,$(CHANNEL)),$(BIN)/conda-bundler lock $(PROJECT) $(OPTIONS))
	$(BIN)/conda-bundler build $(PROJECT) $(OPTIONS) --relock --output-dir dist

channel: .venv/.ready
	$(BIN)/python examples/channel $(LOCAL) $(addprefix --with=,$(SETS))

bench: .venv/.ready
	$(BIN)/python -m benchmarks --sizes $(SIZES) --output build/bench.json $(BENCH)

# After `make bench` on a quiet machine.
figures: .venv/.ready
	$(BIN)/python -m benchmarks.figures build/bench.json

# mypy takes one processor for half a minute and more, so it runs beside the tests; only what it objects to comes after theirs.
BESIDE_TYPES = mkdir -p build; $(BIN)/mypy >build/mypy.log 2>&1 & types=$$!; \
	$(BIN)/pytest --numprocesses $(WORKERS) --no-loadscope-reorder $(1); tests=$$?; \
	wait $$types; types=$$?; [ $$types = 0 ] || cat build/mypy.log; exit $$((tests | types))

# None of these waits for anything.
check: WORKERS = $(shell nproc)
check: .venv/.ready format
	tests/tools
	@$(call BESIDE_TYPES,tests/unit $(QUICK:%=tests/integration/test_%.py))

test-all: export CONDA_BUNDLER_FAULTS ?= all
test-all: MARKED = -m ""
test test-all: .venv/.ready format
	tests/tools
# What is one process's is said in tests/conftest.py, and the order in tests/support/order.py.
	@$(call BESIDE_TYPES,$(MARKED) $(TESTS))

# Not a part of `make test`: what it needs of disk, memory and time is in CONTRIBUTING.md.
test-large: .venv/.ready
	tests/tools
	$(BIN)/pytest $(LARGE)

# Not a part of `make test`: some 15 GB of wheels from PyPI, unpacked in build/sweep.
sweep: .venv/.ready
	tests/tools
	PYTHONPATH=tests/support:tests:. $(BIN)/python -m sweep $(addprefix --groups=,$(GROUPS)) $(addprefix --projects=,$(PROJECTS))

# Not a part of `make test`, which gives each target a few inputs. FUZZ=wheel: the targets whose name has that in it.
fuzz: .venv/.ready
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/fuzz $(if $(FUZZ),-k "$(FUZZ)")

lint: format
	$(BIN)/mypy

format: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: .venv/.ready
	$(BIN)/python ci/documentation.py
# Which translations are behind; `python tests/translations.py --mark` says that they no longer are.
	$(BIN)/python tests/translations.py

reference: .venv/.ready
	$(BIN)/python -m bundler.config.reference >build/reference.md
	mv build/reference.md docs/reference/bundle-toml.md

messages: .venv/.ready
	$(BIN)/python tests/messages.py >build/messages.txt
	mv build/messages.txt tests/unit/messages.txt

# Every file that is installed has one of the digests in requirements.txt, hatchling's among them, which builds our own.
.venv/.ready: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# After a change to pyproject.toml's dependencies; `make requirements UPGRADE=--upgrade` takes the newest of each.
requirements: .venv/.ready
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --generate-hashes $(UPGRADE) \
		--custom-compile-command 'make requirements' --output-file requirements.txt pyproject.toml

# The picture in README.md, from a run of its commands; as root, for `smoke` boots a machine.
recording: .venv/.ready channel
	$(BIN)/python ci/recording.py $(LOCAL)

# Offline; the last lines say how to upload.
release: .venv/.ready
	$(BIN)/python ci/release.py

# For a build machine without a network, with the same Python, processor and no older glibc: the last line says which.
zipapp: .venv/.ready
	$(BIN)/python ci/onefile.py

clean:
	rm -rf build dist
