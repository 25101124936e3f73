# Everything a builder needs. `make test` is what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BUF_VERSION          := 1.75.0
STATICCHECK_VERSION  := v0.8.2
PROTOVALIDATE_PROTOS := v1.2.2
GOOGLEAPIS_PROTOS    := v1.16.0

BIN := $(CURDIR)/.bin
BUF := $(BIN)/node_modules/@bufbuild/buf-linux-x64/bin/buf

.PHONY: help
help: ## Lists the targets.
	@grep -hE '^[a-z_-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(BUF):
	mkdir -p $(BIN)
	npm install --silent --no-save --no-package-lock --ignore-scripts --prefix $(BIN) @bufbuild/buf@$(BUF_VERSION)

# The versions of the plugins are the versions go.mod pins.
.PHONY: plugins
plugins:
	go build -o $(BIN)/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
	go build -o $(BIN)/protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc
	go build -o $(BIN)/protoc-gen-grpc-gateway github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway

# Other people's .proto files are laid down from the Go module cache, never committed.
third_party: Makefile
	rm -rf $@
	mkdir -p $@/google/api $@/google/rpc $@/buf
	src=$$(go mod download -json github.com/grpc-ecosystem/grpc-gateway@$(GOOGLEAPIS_PROTOS) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
	cp $$src/third_party/googleapis/google/api/{annotations,http}.proto $@/google/api/; \
	cp $$src/third_party/googleapis/google/rpc/status.proto $@/google/rpc/
	src=$$(go mod download -json github.com/bufbuild/protovalidate@$(PROTOVALIDATE_PROTOS) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
	cp -r $$src/proto/protovalidate/buf/validate $@/buf/
	chmod -R u+w $@

.PHONY: gen
gen: $(BUF) plugins third_party ## Regenerates gen/ from proto/.
	$(BUF) format -w proto
	$(BUF) lint
	rm -rf gen
	$(BUF) generate

.PHONY: build
build: ## Builds ./lienthong: one static binary.
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o lienthong .

.PHONY: demo
demo: build ## Shows the product at work, then keeps running. Ctrl-C ends it.
	./lienthong demo

.PHONY: format
format: ## Formats the Go code and the protos.
	gofmt -w $$(git ls-files '*.go' ':!gen')
	$(BUF) format -w proto

# On a bare machine, what the tests drive for real is installed from Debian.
.PHONY: tools
tools:
	@missing=""; \
	command -v xmllint >/dev/null || missing="$$missing libxml2-utils"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, buf lint.
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' ':!gen')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make format):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...

# Generated code is compared with what the protos give now. Where buf cannot be
# had (no npm, no registry), that is said; everything else still runs.
.PHONY: gen-check
gen-check:
	@if $(MAKE) --no-print-directory $(BUF) >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory plugins third_party && \
		$(BUF) lint && \
		$(BUF) format --diff --exit-code proto && \
		rm -rf .bin/gen && $(BUF) generate --output .bin/gen && \
		diff -r gen .bin/gen/gen && echo "gen/ is what proto/ gives"; \
	else \
		echo "buf is not to be had here: lint and drift of the protos were NOT checked"; \
	fi

# The protos are compared with those of BASE, a commit or tag: what nodes in the
# field were built against must not break. third_party/ is in no commit, so both
# sides are built into images first.
BASE ?= $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD~1)

.PHONY: breaking
breaking:
	@if [ -z "$(BASE)" ]; then echo "breaking: no earlier commit to compare with"; exit 0; fi; \
	if ! $(MAKE) --no-print-directory $(BUF) third_party >/dev/null 2>&1; then \
		echo "buf is not to be had here: breaking changes were NOT looked for"; exit 0; fi; \
	rm -rf $(BIN)/base && mkdir -p $(BIN)/base && \
	git archive $(BASE) proto buf.yaml | tar x -C $(BIN)/base && cp -r third_party $(BIN)/base/ && \
	$(BUF) build $(BIN)/base -o $(BIN)/base.binpb && $(BUF) build -o $(BIN)/now.binpb && \
	$(BUF) breaking $(BIN)/now.binpb --against $(BIN)/base.binpb && echo "the protos break nothing since $(BASE)"

.PHONY: race
race:
	go test -race -timeout 20m ./...

.PHONY: demo-once
demo-once: build
	./lienthong demo --once

# Figures are ratios against a named peer of the same run; docs/performance.md is
# written from them and never by hand.
.PHONY: bench
bench: ## Measures, and writes docs/performance.md.
	@mkdir -p $(BIN) docs
	go test -run '^$$' -bench 'Pipeline$$' -benchtime 100000x -count 3 ./hub | tee $(BIN)/bench.txt
	go test -run '^$$' -bench 'DecodeXML' -benchtime 1s -count 3 ./packet | tee -a $(BIN)/bench.txt
	{ go version; grep -m1 'model name' /proc/cpuinfo; nproc; date -u +%F; git rev-parse --short HEAD; } > $(BIN)/machine.txt
	awk -f docs/performance.awk $(BIN)/machine.txt $(BIN)/bench.txt > docs/performance.md
	@cat docs/performance.md

.PHONY: test
test: tools lint gen-check breaking race demo-once ## Everything CI runs.
