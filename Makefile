# Everything here needs Go and make, test-wasm Node.js too; `make help` lists it.
.DEFAULT_GOAL := help
GO ?= go

.PHONY: help
help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## three silos on this machine: ratings, recommendations, photographs, purchases, and a silo killed in the middle (under 90 s; ARGS="--data DIR" and other flags: ARGS=-h)
	@echo building... && mkdir -p bin && $(GO) build -o bin/wine ./samples/wine/cmd/wine
	@bin/wine $(ARGS)

.PHONY: test
test: ## all tests (some minutes once compiled), then test-wasm where there is Node.js or it can be installed
	$(GO) test ./...
	@if .ci/node; then $(MAKE) --no-print-directory test-wasm; else echo "test-wasm is skipped."; fi

# The environment is cut down because Go's loader for Node.js refuses more than 12 kB of it.
.PHONY: test-wasm
test-wasm: ## tests of crdt/... compiled for the browser, under Node.js, which apt-get installs when it is missing
	@.ci/node
	GOOS=js GOARCH=wasm $(GO) test -exec 'env -i PATH="$(PATH)" HOME="$(HOME)" RAPID_CHECKS=20 $(shell $(GO) env GOROOT)/lib/wasm/go_js_wasm_exec' ./crdt/...

.PHONY: test-seeds
test-seeds: ## tests of crdt/... RUNS times (default 20), each from a seed of its own, which is printed
	@for run in $$(seq $(or $(RUNS),20)); do \
		seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "RAPID_SEED=$$seed"; \
		RAPID_SEED=$$seed $(GO) test -vet=off -count=1 ./crdt/... || exit 1; \
	done

# What crdt promises is tested partly from package crdttest, which is outside of it.
.PHONY: cover
cover: ## which part of the statements of crdt and of crdt/flow their tests run; less than 90 % of either fails
	@mkdir -p bin
	$(GO) test -coverpkg=./crdt -coverprofile=bin/crdt.cover ./crdt ./crdt/crdttest
	$(GO) test -coverpkg=./crdt/flow -coverprofile=bin/flow.cover ./crdt/flow
	@for of in crdt flow; do \
		$(GO) tool cover -func=bin/$$of.cover | awk -v of=$$of '$$1 == "total:" { \
			enough = $$3 + 0 >= 90; print of ": " $$3 " of statements, 90 % asked for" (enough ? "" : ": too few"); exit !enough }' || exit 1; \
	done

.PHONY: race
race: ## all tests under the race detector (wants a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

.PHONY: lint
lint: ## formatting, vet, staticcheck, that what applications import builds for the browser, and that generated code is fresh
	@fmt=$$(gofmt -l $$(git ls-files '*.go' | grep -v '^codegen/.*testdata/')) && if [ -n "$$fmt" ]; then echo "not formatted (run gofmt -w):"; echo "$$fmt"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOOS=js GOARCH=wasm $(GO) build ./crdt/... ./grains ./grains/wire ./grains/variable ./grains/dataflow ./txn
	$(GO) tool grainc -check ./samples/... ./integration/...

.PHONY: test-protoc
test-protoc: ## that protoc takes what grainc -proto writes; apt-get installs it when it is missing
	@.ci/protoc
	GRAINC_PROTOC=1 $(GO) test -count=1 -run 'TestProtocAccepts' ./codegen/grainc

# What other generators write, by protoc say, changes with their versions alone, and is made by hand.
.PHONY: generate
generate: ## write what grainc generates anew
	$(GO) generate -run grainc ./samples/... ./integration/... ./codegen/grainc/testdata/ok/...

.PHONY: bench
bench: ## calls and purchases beside what others reach, side by side in one run (some minutes)
	$(GO) run ./integration/bench $(ARGS)

.PHONY: bench-calls
bench-calls: ## calls beside what others reach, with TLS too, a million idle grains, encoders, overload, the generator, a rolling upgrade, each against its bar (some ten minutes, 2 GB)
	$(GO) run ./integration/bench calls $(ARGS)

.PHONY: chaos
chaos: ## silos killed, paused, drained, restarted, joined and cut off under load, and what they did checked, with SEEDS seeds from SEED on (default 20 from 1; half an hour; ARGS=--short: two minutes)
	$(GO) run ./integration/chaos --seed $(or $(SEED),1) --seeds $(or $(SEEDS),20) $(ARGS)

.PHONY: soak
soak: ## random faults with one seed, SEED (default 1), for 10 minutes
	$(GO) run ./integration/chaos --only seeds --seed $(or $(SEED),1) --duration 10m $(ARGS)

.PHONY: bench-channels
bench-channels: ## small calls while 64 MiB transfers run between all pairs, on channels and on shared connections (some minutes, 2 GB)
	$(GO) run ./integration/benchchannels $(ARGS)

.PHONY: bench-crdt
bench-crdt: ## an add-wins set of 10³ to 10⁷ elements beside a bare map and a naive join, with its bars (some minutes, 5 GB)
	$(GO) run ./integration/benchcrdt $(ARGS)

.PHONY: bench-flow
bench-flow: ## operators of 10³ to 10⁶ elements beside a bare map and a recomputation, with their bars (some minutes)
	$(GO) run ./integration/benchflow $(ARGS)

# Minimising is kept short: which code an input reaches depends on the order of maps here and there, and by
# default Go spends a minute on each input whose coverage it cannot reproduce, in which it tries no other.
.PHONY: fuzz
fuzz: ## each decoder's fuzz target of PKG (default ./...) for FUZZTIME (default 20 s)
	@for pkg in $$($(GO) list $(or $(PKG),./...)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),20s) -fuzzminimizetime 20x $$pkg || exit 1; \
		done; \
	done
