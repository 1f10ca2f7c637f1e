# Two commands need nothing but python3 (3.11 or newer) and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test coverage lint bench chaos fuzz mutants grpc-versions image published conformance clients servers keycloak protos schema k8s crds helm lock clean

demo: $(VENV)/demo.stamp
	$(BIN)/mcp-authz demo

# Many tests wait for processes of their own, so one more than two cores keeps both busy; `make test PROCESSES=5` for four.
PROCESSES ?= 3
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n $(PROCESSES) --dist worksteal

# Branches of the package that ran in any process of the tests; status 2 below the floor of pyproject.toml.
coverage: $(VENV)/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(PROCESSES) --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Needs wrk (Debian: apt-get install wrk); `python -m bench --help` has the parts.
bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench
	$(BIN)/python -m pytest -q bench/test_decisions.py

# Garbage for every reader of foreign bytes, each with its invariant: `make fuzz SECONDS=60 TARGET=sse`; corpus in .cache/fuzz.
SECONDS ?= 600
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(addprefix --target ,$(TARGET))

# Small faults in the security modules that no test notices: `make mutants MODULES=authz/core/denial.py`; goes on where it was stopped.
mutants: $(VENV)/dev.stamp
	$(BIN)/python -m tests.mutants $(MODULES)

# Faults around a running gateway, one after the other and together, and every answer judged; `make chaos MINUTES=60`.
# A full disk needs root (a tmpfs); the table says what was used.
MINUTES ?= 5
CHAOS_FLAGS ?=
chaos: $(VENV)/dev.stamp
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(CHAOS_FLAGS)

# The gRPC servers under the oldest grpcio that is allowed, the locked one and the newest; needs a package index.
grpc-versions: $(VENV)/dev.stamp
	$(BIN)/python -m tests.grpc_versions

# The service's image: built by buildah, run by podman as its manifest says, the demo's story put through it. Needs root;
# the base is a Debian made by mmdebstrap, or `make image PYTHON_IMAGE=python:3.13-slim-bookworm`. IMAGE_STORE=/dev/shm is faster.
image: $(VENV)/dev.stamp
	$(AS_ROOT) env PYTHON_IMAGE="$(PYTHON_IMAGE)" IMAGE_STORE="$(IMAGE_STORE)" timeout 1500 $(BIN)/python -m pytest -q -n 0 tests/image/checks.py
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

# What people install, beside the image: wheel and bill of materials (CycloneDX), of the same stages.
ENGINE ?= docker
published:
	for what in wheel sbom; do $(ENGINE) build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --target $$what --output type=local,dest=published . || exit 1; done

# The official conformance suite, directly and through Envoy; needs npm.
conformance: $(VENV)/dev.stamp
	$(BIN)/python -m tests.conformance

# SDKs and agent frameworks through Envoy, what their users see: `make clients CLIENTS="go-legacy java" CLIENTS_FLAGS=--show`.
# Each is installed once, into .cache, with npm, Go, Java and Maven, or a package index; what is missing is skipped and said.
CLIENTS ?=
CLIENTS_FLAGS ?=
clients: $(VENV)/dev.stamp
	$(BIN)/python -m tests.clients $(CLIENTS_FLAGS) $(CLIENTS)

# MCP servers of five SDKs, directly and through Envoy: `make servers SERVERS="typescript go"`; Rust is compiled for minutes.
SERVERS ?=
servers: $(VENV)/dev.stamp
	$(BIN)/python -m tests.servers $(SERVERS)

# docs/identity/keycloak.md against a real Keycloak: 160 MB from Maven's repository, once, and some minutes; needs Java and Maven.
keycloak: $(VENV)/dev.stamp
	KEYCLOAK=1 $(BIN)/python -m pytest -q -n 0 tests/identity/test_keycloak.py

protos: $(VENV)/dev.stamp
	$(BIN)/python protos/generate.py

schema: $(VENV)/dev.stamp
	$(BIN)/mcp-authz schema > schema/policy.schema.json

# Envoy's configuration in the manifests, from the policies beside it; the dashboard; the Helm chart.
k8s: $(VENV)/dev.stamp
	$(BIN)/python k8s/render.py
	$(BIN)/python k8s/dashboard.py
	$(BIN)/python k8s/helm.py

# Helm, for the tests that render the chart: compiled for minutes, once.
helm:
	GOBIN=$(CURDIR)/.cache/bin go install helm.sh/helm/v3/cmd/helm@v3.22.0

# The schemas of custom resources, for the tests that read them: needs Go, which keeps them in its module cache.
crds:
	grep -v '^#' k8s/crds.txt | while read -r module version files; do go mod download "$$module@$$version" || exit 1; done

# The tested set, with hashes, for every platform; needs `uv`, npm and Go on the PATH (only to change a dependency).
# Pins that are in a lock file stay until a range or `LOCK_FLAGS=--upgrade` asks for others.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(LOCK_FLAGS)
NPM_LOCK := npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
CLIENT_LOCKS := mcp-1 langgraph openai-agents pydantic-ai google-adk
lock:
	$(LOCK) pyproject.toml -o requirements/base.txt
	$(LOCK) --group serve --constraint requirements/base.txt -o requirements/serve.txt
	$(LOCK) --extra demo pyproject.toml -o requirements/demo.txt
	$(LOCK) --extra demo --extra dev --no-emit-package envoy-mcp-authz pyproject.toml -o requirements/dev.txt
	$(LOCK) requirements/build.in -o requirements/build.txt
	for name in $(CLIENT_LOCKS); do $(LOCK) tests/clients/$$name.in -o tests/clients/$$name.txt || exit 1; done
	for place in tests/node tests/servers/node; do (cd $$place && $(NPM_LOCK)) || exit 1; done
	cd tests/clients/drivers/go && go mod tidy

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "envoy-mcp-authz needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# A path and no finder, which would take a fifth of the start of every process.
EDITABLE := --config-settings editable_mode=compat -e

$(VENV)/demo.stamp: $(VENV)/bin/python requirements/demo.txt pyproject.toml
	$(BIN)/pip install -q --require-hashes -r requirements/demo.txt
	$(BIN)/pip install -q --no-deps $(EDITABLE) .
	touch $@

$(VENV)/dev.stamp: $(VENV)/bin/python requirements/dev.txt pyproject.toml
	$(BIN)/pip install -q --no-compile --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps $(EDITABLE) .
	touch $@

clean:
	rm -rf $(VENV) published .coverage .coverage.* .cache .mypy_cache .ruff_cache .pytest_cache build *.egg-info
