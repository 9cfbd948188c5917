# Every task of the project; `make` lists them.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Where nothing else is installed, `make serve` installs what serves and no tools.
SERVABLE := .venv/.servable
# Servers keep their bytecode, whatever the shell says: tests start some hundreds, each half a second sooner for it.
export PYTHONDONTWRITEBYTECODE :=
# Processes that run tests side by side: two more than cores, for tests wait half of their time; 0 runs them in pytest's own, for a debugger.
JOBS ?= $(shell echo $$(($$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 2)))

# Install a lock, and rerankd itself, into .venv.
define install_lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rerankd needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "1/3 creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "2/3 installing $$(grep -c '==' $(1)) locked packages; this takes a minute or more the first time"
	@$(BIN)/pip install --disable-pip-version-check --progress-bar off --require-hashes --requirement $(1) \
		| awk '/^Collecting / {print "    " $$2; fflush()} /^Installing / {print "    unpacking"; fflush()}'; exit $${PIPESTATUS[0]}
	@echo "3/3 installing rerankd itself"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "installed: .venv/bin/rerankd, .venv/bin/python"
endef

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20

install: $(INSTALLED) ## Create .venv with the locked dependencies of service, tests and tools
$(INSTALLED): requirements.lock pyproject.toml
	$(call install_lock,requirements.lock)

serve: $(or $(wildcard $(INSTALLED)),$(SERVABLE)) ## Run the service: gRPC on 50051, HTTP on 8080 (ARGS="--http-port 8081" and so on)
	$(BIN)/rerankd serve $(ARGS)
$(SERVABLE): server/serve.lock pyproject.toml
	$(call install_lock,server/serve.lock)

test: install ## Run every test but test-clients, test-abuse, test-cluster and test-image, in two processes more than there are cores (ARGS="-k name" and so on; JOBS=0: in one process)
	$(BIN)/pytest -m "not clients and not abuse and not cluster and not image" --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-clients: install ## Run our clients through the fault script, third-party SDKs against the service, ranx as the oracle of fusion, and a real chat model, each in its own locked environment in .venvs/
	$(BIN)/pytest tests/clients tests/oracles $(ARGS)

test-abuse: install ## Attack a server in every known way beside a healthy caller (ARGS=--write: to benchmarks/results/; ABUSE_P99_MS=1000 on a busy machine)
	$(BIN)/pytest tests/abuse $(ARGS)

test-cluster: install ## Kill, drain and roll replicas behind a real Envoy under load, with a real Redis; prints figures
	$(BIN)/pytest tests/cluster -s $(ARGS)

test-image: install ## Run the stages of server/Dockerfile in clean Debian trees, and their result; needs root and debootstrap
	$(BIN)/pytest tests/image $(ARGS)

check: install ## Everything CI runs: commit messages, generated code, protos, style, types, layers, tests
	$(BIN)/python scripts/check_commits.py
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/generate_clients.py --check
	$(BIN)/python scripts/generate_upstream.py --check
	$(BIN)/python scripts/generate_provider_docs.py --check
	$(BIN)/python scripts/generate_dialect_docs.py --check
	$(BIN)/python scripts/generate_settings_schema.py --check
	$(BIN)/python scripts/generate_telemetry_docs.py --check
	$(BIN)/python scripts/generate_chart.py --check
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/baseline.binpb
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

audit: install ## Look for known vulnerabilities of the locked dependencies; says so where no advisories can be read
	$(BIN)/python scripts/audit.py

generate: install ## Generate stubs (of other languages where their toolchains are), codecs, routes, OpenAPI, upstream messages, settings schema, docs on providers, dialects and telemetry, and the chart's schema
	$(BIN)/python scripts/generate.py
	$(BIN)/python scripts/generate_clients.py
	$(BIN)/python scripts/generate_upstream.py
	$(BIN)/python scripts/generate_provider_docs.py
	$(BIN)/python scripts/generate_dialect_docs.py
	$(BIN)/python scripts/generate_settings_schema.py
	$(BIN)/python scripts/generate_telemetry_docs.py
	$(BIN)/python scripts/generate_chart.py

baseline: install ## Record the released protos, with which later ones must stay compatible
	$(BIN)/buf build --output protos/baseline.binpb

format: install ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
SLIM := --extra server --extra redis --extra postgres --extra guardrails --extra aws --extra google --extra oci

lock: install ## Resolve the newest allowed versions into requirements.lock, and those of the image from it
	$(LOCK) --python-version 3.11 --upgrade pyproject.toml --all-extras --group dev --output-file requirements.lock
	$(MAKE) lock-image

lock-image: install ## Take what `make serve` and the image need from requirements.lock
	$(LOCK) --python-version 3.11 --constraint requirements.lock pyproject.toml server/image/build.in $(SLIM) --extra local --output-file server/serve.lock
	$(LOCK) --python-version 3.13 --constraint requirements.lock pyproject.toml $(SLIM) --output-file server/image/slim.lock
	$(LOCK) --python-version 3.13 --constraint requirements.lock pyproject.toml $(SLIM) --extra local --output-file server/image/full.lock
	$(LOCK) --python-version 3.13 --constraint requirements.lock server/image/build.in --output-file server/image/build.lock

lock-clients: install ## Resolve the newest versions of the SDKs, oracles and tools of tests (npm: within package.json)
	for group in tests/{clients,oracles,helm,cluster,conformance}/*.in scripts/*.in; do $(BIN)/uv pip compile --quiet "$$group" --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade \
	  --output-file "$${group%.in}.lock"; done
	$(BIN)/uv pip compile --quiet tests/oracles/smollm2.wheels --no-deps --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade --output-file tests/oracles/smollm2.lock
	for folder in tests/clients/node clients/typescript clients/typescript/tools; do npm install --prefix $$folder --package-lock-only --omit-lockfile-registry-resolved; done

bench-quality: install ## Measure ranking quality on labelled data sets (DATA=../shared/data/ir)
	$(BIN)/python -m benchmarks.quality --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-instructions: install ## Count the instructions of a call under Callgrind (ARGS="OTHER-CHECKOUT ." compares, ARGS="--also RUNS__CALLS=all" too; needs valgrind)
	$(BIN)/python -m benchmarks.instructions $(ARGS)

bench-strategies: install ## Measure strategies with a chat model made of labels, some 10 minutes (DATA=../shared/data/ir; ARGS="--queries 10 --no-real")
	$(BIN)/python -m benchmarks.strategies --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-injection: install ## Count the ranks that texts with orders to a chat model gain, with and without defences
	$(BIN)/python -m benchmarks.injection $(ARGS)

bench-transport: install ## Measure the CPU of a provider call over each HTTP transport
	$(BIN)/python benchmarks/transport.py $(ARGS)

bench-asgi: install ## Compare the CPU of the HTTP layer with the same handler on Starlette
	$(BIN)/python benchmarks/asgi.py $(ARGS)

bench-cache: install ## Measure the pair-score cache and its hit rate on a replayed query log (DATA=../shared/data/ir)
	$(BIN)/python -m benchmarks.cache --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-experiments: install ## Replay logged calls of a labelled set, and check the experiment's NDCG against the labels (DATA=../shared/data/ir)
	$(BIN)/python -m benchmarks.experiments --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-faults: install ## Measure calls and a prober beside them while upstreams are broken, some 8 minutes (ARGS=--help)
	$(BIN)/python -m benchmarks.faults $(ARGS)

bench-local: install ## Compare the embedded models with direct ONNX Runtime and other libraries (ARGS="--quick")
	$(BIN)/python -m benchmarks.local_inference $(ARGS)

bench-runs: install ## Time lists, filters and deletion of the run log in SQLite and PostgreSQL (ARGS="--runs 1000000")
	$(BIN)/python -m benchmarks.runs $(ARGS)

bench-run-cost: install ## Measure the CPU of a call with and without the run log, some minutes (ARGS="OTHER-CHECKOUT ." compares)
	$(BIN)/python -m benchmarks.run_cost $(ARGS)

bench-run-throughput: install ## Measure the throughput of a worker with and without the run log, some fifteen minutes (ARGS="--rows gRPC --starts 3")
	$(BIN)/python -m benchmarks.run_throughput $(ARGS)

bench: install ## Compare speed with peers and with the stack's limits, as ratios (ARGS=--quick; ARGS=--help for more)
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-day: install ## Simulate a day of 10,000 calls a second over 20 replicas with the real routing code (ARGS="--seconds 0.5")
	$(BIN)/python -m benchmarks.simulated_day $(ARGS)

bench-access: install ## Measure the CPU that a key, spend, limits and a budget add to a call, some four minutes (ARGS="--starts 3")
	$(BIN)/python -m benchmarks.access_cost $(ARGS)

bench-soak: install ## Load all paths for minutes and check that memory stays flat (ARGS="--minutes 10")
	$(BIN)/python -m benchmarks.soak $(ARGS)

costs: install ## Count what calls cost the server: memory, copies and system calls beside their budgets, bytecode for reference (ARGS=--write; ARGS="--functions grpc_bm25")
	$(BIN)/python -m tests.costs $(ARGS)

clean: ## Remove .venv and caches
	rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

.PHONY: bench-access help install serve audit test test-clients test-abuse test-cluster test-image check generate baseline format lock lock-image lock-clients bench bench-asgi bench-soak bench-cache \
  bench-experiments bench-faults bench-injection bench-instructions bench-runs bench-run-cost bench-run-throughput bench-strategies bench-local bench-quality bench-transport bench-day costs clean
