# Two commands do everything: `make bundle` and `make test`. Each sets up what it needs, in .venv and build/.
#
#   make bundle                              examples/hello from the local channel -> dist/hello-….tar
#   make bundle EXAMPLE=jupyter VERSION=2.0  another example (inference/v1, inference/v2, elixir), another version
#   make bundle EXAMPLE=~/my-project CHANNEL=conda-forge
#   make bench                               how fast it is, beside what people use today
#   make bench SIZES=1,3,10                  larger environments too: some 20 GB of disk and half an hour
#   make test TESTS=tests/e2e WORKERS=0      a part of the tests, one after the other
#   make test-all                            all of them on each system and shell, and all faults
#   make sweep                               whether what runs by hand runs as a service: about 100 projects
#   make sweep GROUPS=web,data               some groups of them
#   make reference                           writes docs/reference/bundle-toml.md anew, after a change to bundle.toml's keys
#   make requirements                        writes requirements.txt anew, after a change to pyproject.toml
#   make fuzz FUZZ_SECONDS=600               other bytes for every parser of foreign ones; a minute in all, unless said
#   make test-large                          two environments of several gigabytes: 40 GB of disk and half an hour

PYTHON ?= python3
EXAMPLE ?= hello
CHANNEL ?= local
VERSION ?=
SIZES ?= 1,3
TESTS ?=
LARGE ?= tests/large
GROUPS ?=
UPGRADE ?=
FUZZ_SECONDS ?= 60
FUZZ ?=
# More than there are processors: an end-to-end test waits for systemd half of its time.
WORKERS ?= $(shell expr $$(nproc) \* 2)

BIN := .venv/bin
PROJECT := $(if $(wildcard examples/$(EXAMPLE)),examples/$(EXAMPLE),$(EXAMPLE))
# What the example needs beside the everyday packages has a channel of its own.
SETS := $(filter jupyter inference elixir,$(firstword $(subst /, ,$(EXAMPLE))))
LOCAL := $(CURDIR)/build/channel$(addprefix -,$(SETS))
OPTIONS := $(if $(filter local,$(CHANNEL)),--channel file://$(LOCAL) --virtual-packages $(LOCAL)/virtual-packages.yml,\
	--channel $(CHANNEL)) \
	$(if $(VERSION),--bundle-version $(VERSION))

.DEFAULT_GOAL := bundle
.PHONY: bundle channel bench test test-all test-large sweep fuzz lint reference requirements clean

bundle: .venv/.ready $(if $(filter local,$(CHANNEL)),channel)
	$(if $(wildcard $(PROJECT)/make-release),$(PROJECT)/make-release)
# The local channel is made anew from what this machine has, so its lockfile is, too; a real one is only
# locked again when environment.yml has changed.
	$(if $(filter local,$(CHANNEL)),$(BIN)/conda-bundler lock $(PROJECT) $(OPTIONS))
	$(BIN)/conda-bundler build $(PROJECT) $(OPTIONS) --relock --output-dir dist

channel: .venv/.ready
	$(BIN)/python examples/channel $(LOCAL) $(addprefix --with=,$(SETS))

bench: .venv/.ready
	$(BIN)/python -m benchmarks --sizes $(SIZES) --output build/bench.json

test-all: export CONDA_BUNDLER_FAULTS ?= all
test-all: MARKED = -m ""
test test-all: .venv/.ready lint
	tests/tools
# What is one process's is said in tests/conftest.py. In the order of their names end-to-end tests, which take longest,
# come first, and unit tests, a moment each, fill the end.
	$(BIN)/pytest --numprocesses $(WORKERS) --no-loadscope-reorder $(MARKED) $(TESTS)

# Not a part of `make test`: what it needs of disk, memory and time is in the README.
test-large: .venv/.ready
	tests/tools
	$(BIN)/pytest $(LARGE)

# Not a part of `make test`: some 15 GB of wheels from PyPI, unpacked in build/sweep.
sweep: .venv/.ready
	tests/tools
	PYTHONPATH=tests:. $(BIN)/python -m sweep $(addprefix --groups=,$(GROUPS))

# Not a part of `make test`, which gives each target a few inputs. FUZZ=wheel: the targets whose name has that in it.
fuzz: .venv/.ready
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/fuzz $(if $(FUZZ),-k "$(FUZZ)")

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reference: .venv/.ready
	$(BIN)/python -m bundler.config.reference >build/reference.md
	mv build/reference.md docs/reference/bundle-toml.md

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

clean:
	rm -rf build dist
