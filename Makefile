# Two commands do everything on a fresh Debian or Raspberry Pi OS machine:
#   make demo [STATION=steel_defect] [SOURCE=0|FILE|FOLDER|URI]
#                                   install what it takes and watch the station work
#   make test                       install what the tests take and run them all
# and `make check` is what a change has to pass besides: lint, format, types, import contracts.
PYTHON ?= python3
VENV   ?= .venv
SOURCE ?=
STATION ?= face_mask
DEMO   ?= demo-out
BIN    := $(VENV)/bin
DEPS   := Makefile pyproject.toml $(wildcard constraints/*.txt)
INSTALL = tools/install.sh "$(PYTHON)"

# `make test` installs what its tests need, so a test that misses it has to fail.
export LINESIGHT_REQUIRE_SYSTEMD = 1

.PHONY: demo test test-numpy1 faults-long check format schemas wheel constraints clean

demo: $(VENV)/.demo
	$(BIN)/linesight demo --station "$(STATION)" --out "$(DEMO)" --json "$(DEMO)/demo.json" $(if $(SOURCE),--source "$(SOURCE)")

# Everything but the converter's and developers' packages; the tests' environment has those too.
$(VENV)/.demo: $(DEPS) tools/install.sh
	$(INSTALL) "$(VENV)" edge,demo
	@touch $@

$(VENV)/.test: $(DEPS) tools/install.sh
	$(INSTALL) "$(VENV)" edge,demo,convert,dev
	@touch $(VENV)/.demo $@

$(VENV)-numpy1/.test: $(DEPS) tools/install.sh
	$(INSTALL) "$(VENV)-numpy1" edge,demo,dev "numpy<2" "opencv-python-headless<5"
	@touch $@

test: $(VENV)/.test test-numpy1
	tools/system-packages.sh mosquitto systemd
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The edge's unit tests once more, under the numpy that Debian 12 and Raspberry Pi OS 12 carry.
test-numpy1: $(VENV)-numpy1/.test
	tools/system-packages.sh mosquitto
	$(VENV)-numpy1/bin/python -m pytest -p no:cacheprovider -m "not convert" tests/unit/edge tests/conformance tests/properties

# The fault suite in its long form (1,000 kills, 20,000 power cuts, 5 minutes of flapping); what came
# of it, with the commit and the date, belongs into docs/reliability.md.
faults-long: $(VENV)/.test
	tools/system-packages.sh mosquitto
	LINESIGHT_FAULTS_LONG=1 $(BIN)/python -m pytest tests/faults -v -s --timeout 1200 $(PYTEST_ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The JSON Schema files of the package; a test says when they are stale.
schemas: $(VENV)/.test
	$(BIN)/python -m tools.schemas

wheel: $(VENV)/.test
	$(BIN)/python -m build --wheel --outdir dist .

# Pins for each platform of docs/platforms.md, resolved against the package index.
constraints: $(VENV)/.test
	$(BIN)/python tools/constraints.py

clean:
	rm -rf "$(VENV)" "$(VENV)-numpy1" "$(DEMO)" build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
