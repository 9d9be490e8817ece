# Two commands for a newcomer: `make demo` shows the main job on real input, `make test` runs every test.
# Both make the environment first, from Python >= 3.11, git and make alone; a second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-$(shell cksum pyproject.toml | cut -d ' ' -f 1)
CODE := processor exporter schema query deploy tests

.PHONY: demo test unit settled test-vendors image alerts prometheus manifests prices lint types rules wheel bench bench-scale faults fuzz clean

demo: $(STAMP)
	@$(BIN)/spanhouse demo

# Most of a test's time is waiting for servers, so more of them run at once than there are cores; a file's tests stay together, since
# they share servers. The slow kinds come first in the alphabet, so none is left to run alone at the end. ARGS goes to pytest: make test ARGS="tests/unit -k spool", make test ARGS="-m 'not engine'".
WORKERS ?= 3
ARGS ?=
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)
	@echo "left out: measurements (make bench); two receivers of one store that are killed, or read beside (make faults); two thirds of the planted mistakes (make settled); tracing packages as they are (make test-vendors); lint, types, import rules, the built wheel and the image's steps (make lint types rules wheel image)"

# The quick tests alone, in one process: no engine, no server process, no git.
unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit -q -m "not engine" $(ARGS)

# Rows of traces against the reference merge, for twelve thousand traces, the lists that are made of rows, and all mistakes that are planted in the
# SQL; the tests take fewer.
settled: $(STAMP)
	SPANHOUSE_TEST_EXAMPLES=400 $(BIN)/python -m pytest tests/property/test_settled_rows.py tests/property/test_derived_tables.py tests/property/test_planted_faults.py --timeout 7200

# Packages that bring a tracer provider of their own, and packages that write spans of models, tools and agents, as tests/vendors/pinned.toml
# has them, each in an environment of its own. One that does not install is skipped, and the summary says so.
test-vendors: $(STAMP)
	$(BIN)/python -m pytest tests/vendors/providers.py tests/vendors/instrumentations.py --numprocesses $(WORKERS) --dist loadfile
	@echo "left out: their real servers, for which a receiver stands in; real models; arize-otel over HTTP; other packages and other versions"

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.write_path
	$(BIN)/python -m tests.benchmarks.ingest
	$(BIN)/python -m tests.benchmarks.odd_loads
	$(BIN)/python -m tests.benchmarks.ack
	$(BIN)/python -m tests.benchmarks.overload
	$(BIN)/python -m tests.benchmarks.backlog
	$(BIN)/python -m tests.benchmarks.scale
	$(BIN)/python -m tests.benchmarks.processor
	$(BIN)/python -m tests.benchmarks.insert
	$(BIN)/python -m tests.benchmarks.search
	$(BIN)/python -m tests.benchmarks.search --pieces --flags 0
	$(BIN)/python -m tests.benchmarks.search_mlflow
	$(BIN)/python -m tests.benchmarks.push
	$(BIN)/python -m tests.benchmarks.readers

# Five million traces in pieces, from SDKs that send no flags: hours.
bench-scale: $(STAMP)
	$(BIN)/python -m tests.benchmarks.search --traces 5000000 --pieces --flags 0

# Some hundred kills of the server under load and kills at each point between acknowledgement and row, of which the tests do a few; the same kills of
# two receivers of one store, and thousands of queries beside two receivers.
faults: $(STAMP)
	$(BIN)/python -m tests.faults.cycles --cycles 300
	ALL_KILLS=1 $(BIN)/python -m pytest tests/faults/test_settle_kills.py tests/faults/killed_receivers.py --timeout 7200
	$(BIN)/python -m tests.faults.two_receivers

# A million damaged requests over both transports, and many to the ClickHouse-compatible endpoint; the tests send a few thousand.
fuzz: $(STAMP)
	$(BIN)/python -m tests.faults.fuzz --requests 1000000
	$(BIN)/python -m tests.faults.fuzz_endpoint --requests 100000

# What deploy/Dockerfile does, without a container engine.
image: $(STAMP)
	$(BIN)/python -m tests.deploy.image

# Prometheus' own tool over the alerts and the PromQL of dashboards, and Prometheus itself over a receiver. Where both are not installed,
# Debian's package is unpacked, without root.
UNPACKED := $(CURDIR)/build/prometheus/usr/bin
PROMETHEUS ?= $(if $(and $(shell command -v prometheus),$(shell command -v promtool)),$(shell command -v prometheus),$(UNPACKED)/prometheus)
PROMTOOL ?= $(dir $(PROMETHEUS))promtool
alerts: $(STAMP) $(PROMETHEUS)
	mkdir -p build
	$(BIN)/python -m tests.support.grafana > build/dashboards.rules.json && $(PROMTOOL) check rules build/dashboards.rules.json
	$(PROMTOOL) check config --syntax-only deploy/prometheus/prometheus.yml
	cd deploy/alerts && $(PROMTOOL) check rules spanhouse.rules.yaml && $(PROMTOOL) test rules spanhouse.tests.yaml recorded.tests.yaml
	$(BIN)/python -m tests.deploy.prometheus $(PROMETHEUS)

prometheus: $(PROMETHEUS)

$(UNPACKED)/prometheus:
	rm -rf build/prometheus && mkdir -p build/prometheus
	cd build/prometheus && apt-get download -q prometheus && { apt-get download -q promtool 2>/dev/null || true; }
	cd build/prometheus && for package in *.deb; do dpkg-deb --fsys-tarfile $$package | tar --extract --wildcards './usr/bin/prom*'; done

# The plain manifests in deploy/kubernetes, from the chart; a test compares them.
manifests: $(STAMP)
	$(BIN)/python -m tests.support.kubernetes

# What genai-prices has otherwise by now goes into the table of prices that comes with spanhouse; rows that are there stay as they are.
prices: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade genai-prices
	$(BIN)/python -m tests.support.shipped_prices

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
