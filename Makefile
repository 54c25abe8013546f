# make test    runs everything that must pass, as CI does
# make bench   measures the figures of docs/performance.md
# make fuzz    fuzzes each parser for FUZZTIME
# make demo    runs the whole system on this machine

FUZZTIME ?= 5s
ALONE = ^TestFaults$$|Kill|Damage|Salvage|Memory|OnTrillian|Browser
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: test check race plain modules fuzz bench demo

test: check race plain modules fuzz

# What shows without running a test.
check:
	scripts/need
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go mod tidy -diff
	go vet ./...
	go run $(STATICCHECK) ./...

# Packages that start goroutines, under the race detector. It would make SQLite, which is
# translated C, many times slower, and has nothing to find there.
race:
	go test -race -gcflags='modernc.org/...=-race=false' -timeout 30m -skip '$(ALONE)' $$(scripts/racing)

# What gains nothing from the detector: the other packages, and of those that start
# goroutines the tests that do one thing at a time (a fault at each step, damage) or
# watch another process.
plain:
	go test -timeout 30m -run '$(ALONE)' $$(scripts/racing)
	go test -timeout 30m $$(scripts/racing -v)

# The modules of their own: a third party's program, and what the tests run.
modules:
	@set -e; for dir in $$(git ls-files '*/go.mod' | xargs -r -n 1 dirname); do echo "$$dir"; (cd "$$dir" && go vet ./... && go test ./...); done

fuzz:
	scripts/fuzz $(FUZZTIME)

bench:
	scripts/bench

demo:
	go run ./cmd/vasistas-demo
