# Two commands for a newcomer: `make demo` shows the main job on real input, `make test` runs every test.
# Both make the environment first, from Python >= 3.11, git and make alone; a second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-$(shell cksum pyproject.toml | cut -d ' ' -f 1)
CODE := processor exporter schema query deploy tests

.PHONY: demo test image alerts promtool manifests lint types rules wheel bench faults fuzz clean

demo: $(STAMP)
	@$(BIN)/spanhouse demo

test: $(STAMP)
	$(BIN)/python -m pytest
	@echo "left out: measurements (make bench); lint, types, import rules, the built wheel and the image's steps (make lint types rules wheel image)"

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.write_path
	$(BIN)/python -m tests.benchmarks.ack
	$(BIN)/python -m tests.benchmarks.overload
	$(BIN)/python -m tests.benchmarks.backlog
	$(BIN)/python -m tests.benchmarks.scale
	$(BIN)/python -m tests.benchmarks.processor
	$(BIN)/python -m tests.benchmarks.insert
	$(BIN)/python -m tests.benchmarks.search
	$(BIN)/python -m tests.benchmarks.search_mlflow
	$(BIN)/python -m tests.benchmarks.push

# Some hundred kills of the server under load; the tests do a few.
faults: $(STAMP)
	$(BIN)/python -m tests.faults.cycles --cycles 300

# A million damaged requests over both transports; the tests send a few thousand.
fuzz: $(STAMP)
	$(BIN)/python -m tests.faults.fuzz --requests 1000000

# What deploy/Dockerfile does, without a container engine.
image: $(STAMP)
	$(BIN)/python -m tests.deploy.image

# Prometheus' own tool over the alerts and the PromQL of dashboards. Where it is not installed, Debian's package is unpacked, without root.
PROMTOOL ?= $(or $(shell command -v promtool),$(CURDIR)/build/promtool)
alerts: $(STAMP) $(PROMTOOL)
	mkdir -p build
	$(BIN)/python -m tests.support.grafana > build/dashboards.rules.json && $(PROMTOOL) check rules build/dashboards.rules.json
	$(PROMTOOL) check config --syntax-only deploy/prometheus/prometheus.yml
	cd deploy/alerts && $(PROMTOOL) check rules spanhouse.rules.yaml && $(PROMTOOL) test rules spanhouse.tests.yaml recorded.tests.yaml

promtool: $(PROMTOOL)

$(CURDIR)/build/promtool:
	rm -rf build/prometheus && mkdir -p build/prometheus
	cd build/prometheus && { apt-get download -q promtool 2>/dev/null || apt-get download -q prometheus; }
	dpkg-deb --fsys-tarfile build/prometheus/*.deb | tar --extract --to-stdout ./usr/bin/promtool > build/promtool.new
	chmod +x build/promtool.new && mv build/promtool.new $@ && rm -rf build/prometheus

# The plain manifests in deploy/kubernetes, from the chart; a test compares them.
manifests: $(STAMP)
	$(BIN)/python -m tests.support.kubernetes

lint: $(STAMP)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(STAMP)
	$(BIN)/mypy $(CODE)

rules: $(STAMP)
	$(BIN)/lint-imports

# The built wheel, with the processor's dependencies alone, in an environment with nothing else.
wheel: $(STAMP)
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/core
	build/core/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/spanhouse-*.whl
	cd build && core/bin/python ../tests/core_install.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache __cache__
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("spanhouse needs Python 3.11 or newer; %s is %s. Say which: make PYTHON=python3.12 ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "spanhouse needs a Python with venv and ensurepip (on Debian: apt install python3-venv)" >&2; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,plot]' --group dev
	@touch $@
