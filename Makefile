# Everything here needs Go, make and nothing else; `make help` lists it.
.DEFAULT_GOAL := help
GO ?= go
DATA ?= ../shared/data/xwines

.PHONY: help
help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## three silos on this machine: ratings, recommendations, photographs, purchases, and a silo killed in the middle (under 90 s)
	@echo building... && mkdir -p bin && $(GO) build -o bin/wine ./samples/wine/cmd/wine
	@bin/wine $(ARGS)

.PHONY: test
test: ## all tests (under 5 minutes on two cores once compiled)
	$(GO) test ./...

.PHONY: race
race: ## all tests under the race detector (wants a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

.PHONY: lint
lint: ## formatting, vet, staticcheck, and that generated code is fresh
	@fmt=$$(gofmt -l $$(git ls-files '*.go' | grep -v '^codegen/.*testdata/')) && if [ -n "$$fmt" ]; then echo "not formatted (run gofmt -w):"; echo "$$fmt"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOOS=js GOARCH=wasm $(GO) build ./crdt/... ./grains ./grains/wire ./grains/variable ./grains/dataflow ./txn
	$(GO) tool grainc -check ./samples/... ./integration/...

.PHONY: generate
generate: ## write generated code anew
	$(GO) generate ./samples/... ./integration/...

.PHONY: bench
bench: ## calls and purchases beside what others reach, side by side in one run (about 3 minutes)
	$(GO) run ./integration/bench $(ARGS)

.PHONY: fuzz
fuzz: ## each decoder's fuzz target for FUZZTIME (default 20 s)
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),20s) $$pkg || exit 1; \
		done; \
	done
