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
