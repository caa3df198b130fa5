# make build   the binaries, ./sluice and ./sluice-mirror
# make test    everything that CI runs: installs what it lacks by apt, then checks,
#              unit tests with the race detector, and the lab of network namespaces
# make bench   measure Sluice beside other proxies, which it installs by apt, and write
#              internal/bench/RESULTS.md; make bench ROW=idle,start for some rows
# make bench-mirror  the same for sluice-mirror beside docker-registry, with
#              internal/bench/mirror/RESULTS.md
# make fuzz    every fuzz target for a minute; FUZZ=10s for less
# make soak    a quarter of an hour among clients, origins and a name server that
#              misbehave, then all is counted; SOAK=2m for less, RACE=1 with the race
#              detector
#
# A part that the machine cannot run is left out with a sentence; where the
# variable CI is "true", it fails instead.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LAB     := ./internal/lab/...
# What "make deps" installs.
PACKAGES := internal/lab/packages.txt
ROW      ?=
FUZZ     ?= 60s
SOAK     ?= 15m
RACE     ?=
# Where govulncheck learns what is vulnerable; a mirror, or file:///DIR.
VULNDB   ?= https://vuln.go.dev

# Programs that check the source, at the versions that CI knows. They are built
# once, by the module proxy alone, and kept beside the compiler's own cache:
# golangci-lint takes some two minutes for that on two cores.
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
# A client of registries that the lab runs, and what the OCI has to say whether one keeps
# to the distribution specification, built and kept in the same way.
CRANE       := github.com/google/go-containerregistry/cmd/crane@v0.22.1
CONFORMANCE := github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111

.PHONY: build test deps check lint vulnerabilities unit crane conformance lab bench bench-mirror fuzz soak

build:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o . ./cmd/sluice ./cmd/sluice-mirror

# One after the other, even under make -j: they share two cores with what they time.
test:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory lab

# Installs the packages whose programs are missing. Where that cannot be, the
# tests themselves say what they leave out. No service is started: policy-rc.d
# is how Debian's maintainer scripts are told.
deps:
	@missing=$$(awk '!/^#/ && NF == 2' $(PACKAGES) | while read -r program package; do
	  if [ ! -e "$$program" ] && ! command -v "$$program" >/dev/null; then echo "$$package"; fi
	done | sort -u | xargs)
	[ -n "$$missing" ] || exit 0
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	  echo "left out: installing $$missing, for want of root on a system with apt-get"
	  exit 0
	fi
	echo "installing $$missing"
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
	  trap "rm -f $$policy" EXIT
	  printf '#!/bin/sh\nexit 101\n' > $$policy
	  chmod +x $$policy
	fi
	export DEBIAN_FRONTEND=noninteractive
	install() { apt-get install -qq -y --no-install-recommends "$$@" </dev/null >/dev/null; }
	apt-get update -qq || echo "apt-get update: not all lists are fresh"
	install $$missing || for package in $$missing; do
	  install "$$package" || echo "left out: installing $$package, for apt-get did not"
	done

check:
	@echo "== gofmt, go vet"
	unformatted=$$(gofmt -l .)
	[ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	go vet ./...
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory vulnerabilities

lint:
	@echo "== golangci-lint"
	$(call install,$(GOLANGCI))
	"$$program" run --allow-serial-runners ./...

# What cannot be asked is left out, even by CI: it says nothing about this source.
# Only a vulnerability that the code can reach fails.
vulnerabilities:
	@echo "== govulncheck"
	$(call install,$(GOVULNCHECK))
	if out=$$("$$program" -db "$(VULNDB)" ./... 2>&1); then
	  echo "$$out" | head -n 1
	elif grep -q 'fetching vulnerabilities' <<<"$$out"; then
	  echo "left out: known vulnerabilities, for $(VULNDB) does not answer"
	else
	  echo "$$out"
	  exit 1
	fi

unit:
	@echo "== unit tests"
	race=-race
	if ! command -v gcc >/dev/null; then
	  echo "left out: the race detector, for want of gcc"
	  [ "$${CI:-}" != true ] || exit 1
	  race=
	fi
	$(call run,$$race -timeout 10m $$(go list ./... | grep -v '/internal/lab'))
	go test -count=1 -run 'LargeFile' ./internal/config

crane:
	@$(call install,$(CRANE))

conformance:
	@$(call install,$(CONFORMANCE))

lab: crane conformance
	@echo "== the lab"
	$(call run,-count=1 -timeout 15m $(LAB))

bench:
	@$(MAKE) --no-print-directory deps PACKAGES=internal/bench/packages.txt
	@go run ./internal/bench -row "$(ROW)"

bench-mirror:
	@$(MAKE) --no-print-directory deps PACKAGES=internal/bench/mirror/packages.txt
	@go run ./internal/bench/mirror -row "$(ROW)"

# Minimizing an input that is only interesting would eat up the time of targets
# that open sockets, so it is given few tries.
fuzz:
	@bad=
	for dir in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do
	  for target in $$(grep -hoE '^func Fuzz\w+' "$$dir"/*_test.go | cut -d ' ' -f 2); do
	    echo "== $$target of $$dir, $(FUZZ)"
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) -fuzzminimizetime 100x "$$dir" || bad="$$bad $$target"
	  done
	done
	[ -z "$$bad" ] || { echo "found something:$$bad; the inputs are in testdata/fuzz"; exit 1; }

soak:
	@go run ./internal/soak -for $(SOAK) $(if $(RACE),-race)

# Builds a program of a module, unless that was done, and says in $$program where
# it is.
define install
program="$$(go env GOCACHE)/sluice-tools/$(notdir $(1))"
	if [ ! -x "$$program" ]; then
	  dir=$$(mktemp -d)
	  trap 'rm -rf "$$dir"' EXIT
	  if ! CGO_ENABLED=0 GOBIN="$$dir" go install $(1) 2>"$$dir/log"; then
	    tail -n 3 "$$dir/log"
	    echo "left out: $(notdir $(1)), which cannot be built here"
	    [ "$${CI:-}" != true ] || exit 1
	    exit 0
	  fi
	  mkdir -p "$$(dirname "$$program")"
	  mv "$$dir/$(firstword $(subst @, ,$(notdir $(1))))" "$$program"
	fi
endef

# Runs go test with everything it can say, shows what failed and what was left
# out as it goes, and if anything failed, the whole text and at its end what that was.
define run
log=$$(mktemp)
	trap 'rm -f "$$log"' EXIT
	go test -v $(1) 2>&1 | tee "$$log" | grep --line-buffered -E '^ *--- (FAIL|SKIP)|^(ok|FAIL|panic)|left out: | the first time [0-9.]+ s' \
	  || { cat "$$log"; echo "== what failed"; awk -f internal/lab/failed.awk "$$log"; exit 1; }
endef

.ONESHELL:
