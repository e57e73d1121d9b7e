# `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := bash

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The pinned linter is built by the Go toolchain itself.
LINTER := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 10s

.PHONY: help run build test check bench hotpaths image fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## serve on http://localhost:5000, everything in ./data
	./bin/sluice serve --data-dir ./data

build: ## a static binary: bin/sluice
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

test: ## install what the tests need, then run them all
	.ci/install
	go test -p 1 -timeout 30m ./... # one folder after the other: recovery within a second is promised of a machine that has time for it

check: ## format, vet and lint
	go vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else go run $(LINTER) run; fi

bench: ## measure beside tusd and nginx (BENCH="-runs 1 -only U1"), 15 minutes
	bench/run.sh $(BENCH)

hotpaths: ## Go benchmarks of the hot paths
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## each fuzz target for FUZZTIME (10s)
	@set -euo pipefail; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

image: ## a container image: sluice:latest
	docker build --build-arg VERSION=$(VERSION) -t sluice:$(VERSION) -t sluice:latest .

clean: ## remove what was built; data stays
	rm -rf bin
