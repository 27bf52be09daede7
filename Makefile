# Laneway. `make` lists the targets.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# Everything is built as it is shipped, and compiled once. What is shipped and what
# end-to-end tests start is built outside the workspace: inside it the versions of test's
# dependencies would win.
export CGO_ENABLED := 0
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath
SHIPPED := GOWORK=off

# `assertions` checks the invariants of the cores while tests run.
TESTFLAGS ?= -tags assertions -count=1 -timeout $(TIMEOUT)
TIMEOUT = 10m
sim schedules mutants: TIMEOUT = 0
# A busy machine takes several times as long as the five minutes of an idle one, and longer with S3.
e2e e2e-others: TIMEOUT = $(if $(STORE),1h,25m)
# The simulator runs in memory like unit tests, and in one goroutine for each world.
SIMULATOR = ./test/sim/...
UNIT ?= ./... $(SIMULATOR)
# Packages that depend on the SDKs of clouds: the command line, and the stores themselves.
CLOUD = $(shell go list -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep aws-sdk-go-v2 | cut -d' ' -f1)
# Packages with one goroutine: the cores, and the rules of producers and tickets.
PURE = $(shell go list ./... | grep /core) ./pkg/protocol ./pkg/ticketing ./pkg/delivery
# Packages for the race detector. It would have to compile the SDKs once more, which takes
# minutes, and sees nothing where there is one goroutine, so the packages above are left out;
# `make race RACE=./...` includes them. End-to-end tests drive other processes, so it sees little
# there; `make race RACE=work` includes them.
RACE ?= $(filter-out $(CLOUD) $(PURE) $(PURE:./%=laneway.dev/%),$(shell go list ./...))
race: export CGO_ENABLED := 1
# Fuzzing is guided by the code that an input reaches. GUIDED= leaves that out, and with it
# compiling all that a target stands on once more.
FUZZTIME ?= 10s
GUIDED ?= 1
# A campaign of the simulator takes a minute, or runs SEEDS seeds from FROM on; SEED, or
# the CONFIG that a failure prints, is the only run, shown with TRACE=1.
SEEDS ?=
SEED ?=
CONFIG ?=
FROM ?= 0
TRACE ?=
# Some of test/sim/mutants, separated by commas, those that the `simulator` notices, or all.
MUTANT ?= all
BENCH ?= .

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The object store of end-to-end tests and of the demo: s3 is an S3 server that is started for
# them, and nothing is a folder.
STORE ?=
ifneq ($(filter-out s3,$(STORE)),)
$(error STORE is s3 or empty, not $(STORE))
endif

.PHONY: demo
demo: build $(if $(STORE),bin/versitygw) ## a file in with staging out of order, the same file out; STORE=s3
	bin/laneway demo $(if $(STORE),--s3-server bin/versitygw)

.PHONY: run
run: ## NATS, JetStream and the five services in one process
	go run ./cmd/laneway serve

.PHONY: build
build: ## bin/laneway
	$(SHIPPED) go build -o bin/laneway ./cmd/laneway

.PHONY: images
images: ## laneway:local and laneway-nats:local, FROM scratch
	mkdir -p bin/image/data
	$(SHIPPED) go build -ldflags='-s -w' -o bin/image/laneway ./cmd/laneway
	$(SHIPPED) go build -ldflags='-s -w' -o bin/image/nats-server github.com/nats-io/nats-server/v2
	docker build --quiet --tag laneway:local --file deploy/Dockerfile .
	docker build --quiet --tag laneway-nats:local --file deploy/nats/Dockerfile .

.PHONY: test
test: unit e2e ## all tests of both modules

.PHONY: unit
unit: ## tests of the product module, and the simulator's
	go test $(TESTFLAGS) $(UNIT)

ALL_E2E = $(filter-out $(SIMULATOR),$(patsubst %/,./%/...,$(wildcard test/*/)))
E2E = $(ALL_E2E)

# A regular expression that selects end-to-end tests by their names.
RUN ?=

# One at a time: these tests measure restarts and rates. Some only wait, side by side. The binaries
# are not prerequisites: while one is built, make -j would start all other goals before this one.
.PHONY: e2e
e2e e2e-others: export LANEWAY_TEST_STORE := $(STORE)
e2e: ## end-to-end tests against real processes; STORE=s3
	$(MAKE) --no-print-directory build bin/nats bin/nats-server bin/versitygw
	go test -p 1 -parallel 4 $(TESTFLAGS) $(if $(RUN),-run '$(RUN)') $(E2E)

# The packages apart from test/e2e measure nothing, so .ci/run has their tests run beside it.
.PHONY: e2e-others
e2e-others: build bin/nats bin/nats-server bin/versitygw ## the end-to-end tests that E2E leaves out
	nice go test -p 1 -parallel 4 $(TESTFLAGS) $(filter-out $(E2E),$(ALL_E2E))

.PHONY: race
race: ## tests of the product module under the race detector
	go test -race $(TESTFLAGS) $(RACE)

FUZZ = $(if $(GUIDED),-fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package",\
	"$$package" -args -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir $(CURDIR)/bin/fuzz)

.PHONY: unraced
unraced: ## tests that race leaves out: the command line, cloud stores, and what has one goroutine
	go test $(TESTFLAGS) $(CLOUD) $(PURE)

.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME (10s) each
	@targets=$$(grep -roE --include='*_test.go' '^func Fuzz\w+' cmd internal pkg services | sed -E 's|/[^/]*:func | |; s|^|./|'); \
	[ -n "$$targets" ] || { echo 'make fuzz: no fuzz target found' >&2; exit 1; }; \
	while read -r package target; do \
		echo "$$package $$target"; \
		nice go test -tags assertions -run '^$$' $(FUZZ) </dev/null; \
	done <<<"$$targets"

# What is run, and how it is shown: one run, a number of seeds, or a minute.
SIM_RUN = $(if $(CONFIG),-config '$(CONFIG)',-shrink) $(if $(SEED),-seed $(SEED)) $(if $(SEEDS),-seeds $(SEEDS)) \
	$(if $(CONFIG)$(SEED)$(SEEDS),,-time 1m)
SIM_SHOW = $(if $(TRACE),-trace -svg $(CURDIR)/bin/sim-$(or $(SEED),config).svg)

.PHONY: sim
sim: ## the simulator: a minute, or SEEDS=1000000, or SEED=42 TRACE=1
	@mkdir -p bin
	nice go test $(TESTFLAGS) -v -run '^TestCampaign$$' ./test/sim/random -args -from $(FROM) $(SIM_RUN) $(SIM_SHOW)

.PHONY: schedules
schedules: ## every schedule of a few tickets, some ten minutes
	go test $(TESTFLAGS) -v ./test/sim/exhaustive -args -long

.PHONY: mutants
mutants: ## that tests or the simulator notice each deliberate defect, or MUTANT=name
	nice go test $(TESTFLAGS) -v -run '^TestMutants' ./test/sim/mutants -args -mutants $(MUTANT)

# A campaign takes DRAWS damages of SEED, or the CASE that a failure prints.
DRAWS ?= 200
CASE ?=

.PHONY: damage
damage: build bin/nats bin/nats-server ## 200 damaged files, or DRAWS=20 SEED=7, or the CASE that a failure prints
	go test -count=1 -timeout 0 -v -parallel 4 -run '^TestDamage' ./test/damage -args -twice -draws $(DRAWS) $(if $(SEED),-seed $(SEED)) $(if $(CASE),-case '$(CASE)')

.PHONY: lint
lint: bin/golangci-lint ## rules of .golangci.yml, both modules
	bin/golangci-lint run ./... ./test/...

.PHONY: bench
bench: ## benchmarks of the product module, as shipped
	GOWORK=off go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: tools
tools: bin/golangci-lint bin/nats bin/nats-server bin/versitygw ## pinned tools into bin/

# Each tool has its own module, outside the workspace, so that its dependencies are not ours.
# versitygw uses the same SDKs as the product. Its module selects the same versions, so that
# they are compiled once.
bin/golangci-lint: tools/golangci-lint/go.mod tools/golangci-lint/go.sum
bin/nats: tools/natscli/go.mod tools/natscli/go.sum
bin/versitygw: tools/versitygw/go.mod tools/versitygw/go.sum
bin/golangci-lint bin/nats bin/versitygw:
	cd $(<D) && GOWORK=off go build -mod=readonly -ldflags='-s -w' -o $(CURDIR)/$@ tool

# The plain server of the multi-process tests, of the version that is embedded.
bin/nats-server: go.mod go.sum
	$(SHIPPED) go build -o $@ github.com/nats-io/nats-server/v2

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
