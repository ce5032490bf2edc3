# jabberd. `make` lists what there is; README.md says where to start.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# A folder with a main.go is a program of that name.
PROGRAMS := $(patsubst %/main.go,./%,$(wildcard $(addsuffix /main.go,jabberd basemods xdb logmods plugins jabberd-one)))
# Folders with a go.mod of their own, this one first.
MODULES := . $(filter-out . go.mod,$(patsubst %/go.mod,%,$(patsubst ./%,%,$(shell find . -name go.mod -not -path './.git/*' -not -path './bin/*' | sort))))
PROTOS := $(patsubst ./%,%,$(shell find . -name '*.proto' -not -path './bin/*' | sort))

PKG ?= ./...
FUZZTIME ?= 60s
BENCH ?= .
COUNT ?= 6
BENCHTIME ?= 200ms
BUILDFLAGS ?=
ARGS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PKG=$(PKG)  FUZZTIME=$(FUZZTIME)  BENCH=$(BENCH)  COUNT=$(COUNT)  BUILDFLAGS=$(BUILDFLAGS)  ARGS=$(ARGS)"

.PHONY: build
build: ## put the programs into bin/ (BUILDFLAGS=-race: with the race detector)
	@mkdir -p bin
	go build $(BUILDFLAGS) -o bin/ $(PROGRAMS)

.PHONY: run
run: build ## start a server with conf/jabberd.hcl (ARGS='--var host=example.org')
	bin/jabberd run conf/jabberd.hcl $(ARGS)

.PHONY: test
test: deps lint build ## everything that must pass; installs the real peers first, where it may
	go run ./scripts/testsum -count=1 -run 'Alloc|TestACopyCosts' ./jabberd/e2e ./jabberd/tree
	go run ./scripts/testsum -race -count=1 -timeout=20m

.PHONY: deps
deps: ## install the real clients and servers that the tests talk to
	@scripts/deps

.PHONY: race
race: build ## the tests alone, with the race detector (PKG=./jabberd/tree/...)
	go run ./scripts/testsum -race -timeout 20m $(PKG)

.PHONY: e2e
e2e: build ## the tests of whole servers with real clients
	go run ./scripts/testsum -race -count=1 -timeout 20m ./jabberd/e2e/...

CROWD ?= 10000
.PHONY: crowd
crowd: build ## 10,000 sessions, idle and then chatting; what each takes (CROWD=2000: so many)
	CROWD=$(CROWD) go test -count=1 -v -timeout 20m -run '^TestCrowd$$' ./jabberd/e2e

.PHONY: lint
lint: fmt-check vet gen-check ## gofmt, go vet, staticcheck, generated code up to date

.PHONY: fmt
fmt: ## format the Go code
	gofmt -w .

.PHONY: fmt-check
fmt-check:
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "gofmt would change (make fmt):"; echo "$$out"; exit 1; }

.PHONY: vet
vet: bin/tools/staticcheck ## go vet and staticcheck, in every module
	@for dir in $(MODULES); do \
		echo "vet $$dir"; \
		(cd $$dir && go vet ./... && $(CURDIR)/bin/tools/staticcheck ./...); \
	done

.PHONY: gen
gen: bin/tools/protogen ## make the code of the .proto files
	$(if $(PROTOS),bin/tools/protogen $(PROTOS))

.PHONY: gen-check
gen-check: bin/tools/protogen
	$(if $(PROTOS),bin/tools/protogen -check $(PROTOS))

.PHONY: docs
docs: ## write the reference in the modules' README files
	UPDATE=1 go test -count=1 -run '^Test(Readme|DOAP|TableOf)' $(PKG) | { grep -v -e 'no test files' -e 'no tests to run' || true; }

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (60s)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

# Packages with benchmarks, or those that PKG names.
BENCHED = $(if $(filter ./...,$(PKG)),$(shell grep -rl --include='*_test.go' '^func Benchmark' $(wildcard */) | xargs -n 1 dirname | sort -u | sed 's|^|./|'),$(PKG))

.PHONY: bench
bench: bin/tools/benchstat ## run the benchmarks, beside the last that were recorded (PKG=./jabberd/tree BENCH=Walk COUNT=10)
	@mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) $(BENCHED) | tee bin/bench.txt
	bin/tools/benchstat -filter "pkg:($$(sed -n 's/^pkg: //p' bin/bench.txt | sort -u | paste -sd' ' | sed 's/ / OR /g'))" $(wildcard docs/bench.txt) bin/bench.txt

.PHONY: bench-record
bench-record: bench ## make these the recorded ones: docs/bench.txt, where those of other packages stay
	@touch docs/bench.txt
	{ awk 'NR == FNR { if (/^pkg:/) now[$$2]; next } /^goos:|^goarch:/ { head = head $$0 "\n"; next } \
		/^pkg:/ { old = !($$2 in now); if (old) printf "%s", head; head = "" } old' bin/bench.txt docs/bench.txt; \
		grep -E '^(goos|goarch|pkg|cpu|Benchmark)' bin/bench.txt; } > bin/bench-recorded.txt
	mv bin/bench-recorded.txt docs/bench.txt

# The lab, bench/README.md. SERVERS="default ejabberd" CASES="chat idle" measures a part, REPS=5 more often, BENCH_SHORT=1 takes
# a glance, BENCH_FRESH=1 begins with new accounts.
BENCH_SHORT ?= $(BENCH_PEERS_SHORT)
LAB = bin/bench/lab
LABFLAGS = -servers '$(SERVERS)' -cases '$(CASES)' $(if $(REPS),-reps $(REPS)) $(if $(BENCH_SHORT),-short) $(if $(BENCH_FRESH),-fresh)

.PHONY: bench-build
bench-build: build
	@mkdir -p bin/bench
	go build -o bin/bench/ ./bench/lab ./bench/xload ./bench/floor

.PHONY: bench-peers
bench-peers: bench-build ## measure beside other servers (SERVERS= CASES= REPS= BENCH_SHORT=1)
	@scripts/deps --bench
	$(LAB) peers $(LABFLAGS)

.PHONY: bench-growth
bench-growth: bench-build ## measure with more hosts, sessions, contacts, links, bytes
	$(LAB) growth $(LABFLAGS)

.PHONY: bench-overload
bench-overload: bench-build ## measure with twice the load that can be carried
	$(LAB) overload $(LABFLAGS)

.PHONY: bench-storage
bench-storage: bench-build ## measure logins, rosters and offline messages with several backends
	@scripts/deps --bench
	$(LAB) storage $(LABFLAGS)

.PHONY: bench-profile
bench-profile: bench-build ## profile every process under load: bin/bench/profile (SERVERS=edge CASES="chat chat-acks")
	$(LAB) profile $(LABFLAGS)

.PHONY: cover
cover: ## which code the tests reach: bin/cover.html, total on the terminal
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out $(PKG)
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -n 1

.PHONY: clean
clean: ## remove bin/; data/ holds a server's state and stays
	rm -rf bin

# The tools are pinned in a module of their own, so that go.mod lists what jabberd needs.
bin/tools/staticcheck bin/tools/protogen bin/tools/benchstat &: scripts/tools/go.mod scripts/tools/go.sum $(wildcard scripts/tools/*/*.go)
	@mkdir -p bin/tools
	cd scripts/tools && GOBIN=$(CURDIR)/bin/tools go install tool
	@touch bin/tools/staticcheck bin/tools/protogen bin/tools/benchstat
