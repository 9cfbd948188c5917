# Every task of the project; `make` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Processes that run tests side by side: one a core (logical), or a number; 0 runs them in pytest's own, for a debugger.
JOBS ?= logical

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

install: $(INSTALLED) ## Create .venv with the locked dependencies
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rerankd needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

serve: install ## Run the service: gRPC on 50051, HTTP on 8080 (ARGS="--http-port 8081" and so on)
	$(BIN)/rerankd serve $(ARGS)

test: install ## Run every test but test-clients, a process a core (ARGS="-k name" and so on; JOBS=0: in one process)
	$(BIN)/pytest -m "not clients" --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-clients: install ## Run third-party SDKs against the service, each in its own locked environment in .venvs/
	$(BIN)/pytest tests/clients $(ARGS)

check: install ## Everything CI runs: commit messages, generated code, protos, style, types, layers, tests
	$(BIN)/python scripts/check_commits.py
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/generate_upstream.py --check
	$(BIN)/python scripts/generate_provider_docs.py --check
	$(BIN)/python scripts/generate_dialect_docs.py --check
	$(BIN)/python scripts/generate_settings_schema.py --check
	$(BIN)/python scripts/generate_telemetry_docs.py --check
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/baseline.binpb
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

generate: install ## Generate stubs, codecs, routes, OpenAPI, upstream messages, settings schema, and docs on providers, dialects and telemetry
	$(BIN)/python scripts/generate.py
	$(BIN)/python scripts/generate_upstream.py
	$(BIN)/python scripts/generate_provider_docs.py
	$(BIN)/python scripts/generate_dialect_docs.py
	$(BIN)/python scripts/generate_settings_schema.py
	$(BIN)/python scripts/generate_telemetry_docs.py

baseline: install ## Record the released protos, with which later ones must stay compatible
	$(BIN)/buf build --output protos/baseline.binpb

format: install ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: install ## Resolve the newest allowed versions into requirements.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade --output-file requirements.lock

lock-clients: install ## Resolve the newest SDK versions for test-clients (npm: within package.json)
	for group in tests/clients/*.in; do $(BIN)/uv pip compile --quiet "$$group" --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade \
	  --output-file "$${group%.in}.lock"; done
	npm install --prefix tests/clients/node --package-lock-only

bench-quality: install ## Measure ranking quality on labelled data sets (DATA=../shared/data/ir)
	$(BIN)/python -m benchmarks.quality --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-transport: install ## Measure the CPU of a provider call over each HTTP transport
	$(BIN)/python benchmarks/transport.py $(ARGS)

bench-asgi: install ## Compare the CPU of the HTTP layer with the same handler on Starlette
	$(BIN)/python benchmarks/asgi.py $(ARGS)

bench-cache: install ## Measure the pair-score cache and its hit rate on a replayed query log (DATA=../shared/data/ir)
	$(BIN)/python -m benchmarks.cache --data $(or $(DATA),../shared/data/ir) $(ARGS)

bench-faults: install ## Measure latency and failures with faults injected into one of three upstreams
	$(BIN)/python -m benchmarks.faults $(ARGS)

bench-local: install ## Compare the embedded models with direct ONNX Runtime and other libraries (ARGS="--quick")
	$(BIN)/python -m benchmarks.local_inference $(ARGS)

bench: install ## Compare speed with peers and with the stack's limits, as ratios (ARGS=--quick; ARGS=--help for more)
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-soak: install ## Load all paths for minutes and check that memory stays flat (ARGS="--minutes 10")
	$(BIN)/python -m benchmarks.soak $(ARGS)

costs: install ## Count what calls cost the server: memory, copies and system calls beside their budgets, bytecode for reference (ARGS=--write; ARGS="--functions grpc_bm25")
	$(BIN)/python -m tests.costs $(ARGS)

clean: ## Remove .venv and caches
	rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

.PHONY: help install serve test test-clients check generate baseline format lock lock-clients bench bench-asgi bench-soak bench-cache \
  bench-faults bench-local bench-quality bench-transport costs clean
