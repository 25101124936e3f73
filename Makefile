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

.PHONY: docs
docs: ## Writes the field tables, docs/packets*.md, from the protos.
	@mkdir -p $(BIN)
	go run . packet fields --lang en > $(BIN)/packets.md && mv $(BIN)/packets.md docs/packets.md
	go run . packet fields --lang vi > $(BIN)/packets.vi.md && mv $(BIN)/packets.vi.md docs/packets.vi.md

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
	@if go -C hub/natspeer mod download 2>/dev/null; then \
		cd hub/natspeer && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...; \
	else echo "NATS is not to be had here: its benchmark was NOT linted"; fi

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

# libxml2 is a peer of the benchmarks where its headers are, or can be installed.
.PHONY: sax2
sax2:
	@mkdir -p $(BIN) && rm -f $(BIN)/sax2
	@if ! command -v xml2-config >/dev/null || ! command -v gcc >/dev/null; then \
		sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		{ $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends libxml2-dev gcc libc6-dev; } >/dev/null 2>&1 || true; \
	fi
	@gcc -O2 -Wall -Wextra -o $(BIN)/sax2 packet/testdata/sax2/sax2.c $$(xml2-config --cflags --libs) \
		|| echo "libxml2's headers are not to be had here: that peer is NOT measured"

# Figures are ratios against a named peer of the same run; docs/performance.md is
# written from them and never by hand. The hub and its peers take turns, so that a
# machine that slows down slows all of them; and are collected as the hub command
# does (collectLess), the peers too. Packets are measured on one core. For the
# record: make bench BACKLOG=1000000 STORED=10000000, which takes 30 GB of disk.
BACKLOG ?= 100000
STORED  ?= 1000000
IDLE    ?= 10000

.PHONY: bench
bench: sax2 ## Measures, and writes docs/performance.md.
	@mkdir -p docs $(BIN) && rm -f $(BIN)/natspeer.test
	go test -c -o $(BIN)/hub.test ./hub
	@go test -C hub/natspeer -c -o $(BIN)/natspeer.test . || echo "NATS is not to be had here: that peer is NOT measured"
	cd hub; export GOGC=300; nats() { [ ! -x $(BIN)/natspeer.test ] || $(BIN)/natspeer.test -test.run '^$$' -test.bench "$$1" -test.benchtime "$$2"; }; \
	{ for round in 1 2 3; do \
		$(BIN)/hub.test -test.run '^$$' -test.bench 'Exchange$$/^(base|packet=2KB)$$' -test.benchtime 200000x; \
		nats NATS/async 20000x; nats NATS/batch 200000x; \
		$(BIN)/hub.test -test.run '^$$' -test.bench 'Pipeline$$' -test.benchtime 100000x; \
		$(BIN)/hub.test -test.run '^$$' -test.bench 'Exchange$$/^(format|frame|nodes|fan-out|load)=' -test.benchtime 100000x; \
	done; \
	export LIENTHONG_BACKLOG=$(BACKLOG) LIENTHONG_STORED=$(STORED) LIENTHONG_IDLE=$(IDLE); \
	$(BIN)/hub.test -test.run '^$$' -test.bench 'Backlog$$|Stored$$|Idle$$' -test.benchtime 1x; } | tee $(BIN)/bench.txt
	export GOMAXPROCS=1; [ ! -x $(BIN)/sax2 ] || export LIENTHONG_SAX2=$(BIN)/sax2; \
	go test -run '^$$' -cpu 1 -bench 'XML$$|JSON$$|Message$$' -benchtime 1s -count 3 ./packet | tee -a $(BIN)/bench.txt; \
	go test -run '^$$' -cpu 1 -bench 'LargePacket$$' -benchtime 3x -count 3 ./packet | tee -a $(BIN)/bench.txt
	{ go version; grep -m1 'model name' /proc/cpuinfo; nproc; date -u +%F; git rev-parse --short HEAD; } > $(BIN)/machine.txt
	awk -f docs/performance.awk $(BIN)/machine.txt $(BIN)/bench.txt > docs/performance.md
	@cat docs/performance.md

CYCLES ?= 500

.PHONY: kill
kill: ## Kills the real binary under load, CYCLES times (500), and judges what is left.
	LIENTHONG_KILL_CYCLES=$(CYCLES) go test -race -count=1 -timeout 0 -run 'TestKilledHubKeepsItsWord' -v .

# What fuzzing finds, it adds to the testdata/fuzz beside the target: commit that. A
# target whose time is up in the middle of an input says that its deadline is exceeded
# (golang.org/issue/48591), and has found nothing.
FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## Fuzzes what reads packets, each target for FUZZTIME (1m).
	@mkdir -p $(BIN)
	@go test -c -fuzz=Fuzz -o $(BIN)/fuzz.test ./packet
	@cd packet; targets=$$($(BIN)/fuzz.test -test.list '^Fuzz'); \
	for target in $$targets; do \
		said=$$($(BIN)/fuzz.test -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
			-test.fuzzminimizetime 10x -test.fuzzcachedir $(BIN)/fuzz 2>&1) || \
			{ [[ "$$said" == *"context deadline exceeded"* && "$$said" != *"Failing input"* ]] || { echo "$$said"; exit 1; }; }; \
		echo "$$target for $(FUZZTIME): $$(grep '^fuzz: elapsed' <<<"$$said" | tail -n 1)"; \
	done

# By count, not by the clock: a slow machine takes longer and fails no sooner. What
# the race detector distorts is counted here too.
.PHONY: fuzz-short
fuzz-short:
	go test -run 'Allocates|Memory' ./packet
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10000x

.PHONY: test
test: tools lint gen-check breaking race fuzz-short demo-once ## Everything CI runs.
