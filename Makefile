# Baton's verbs. `make demo` and `make test` do all set-up themselves, on a fresh Debian 12 with the Rust toolchain.
# Everything is built in one optimised profile, once, for tests, demo and benchmarks alike.

CARGO  ?= cargo
BATON  := target/release/baton
PURE   := -p baton-agents -p baton-intake -p baton-call -p baton-speech -p baton-tone -p baton-audio

.DEFAULT_GOAL := help
.PHONY: help demo run test test-pure bench load lint setup setup-test build models clean

help:           ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: build models ## one whole warm transfer on real audio; writes target/demo/
	target/release/baton-demo

run: build models ## the gateway on its embedded default
	$(BATON) run

# One build for programs and tests: by themselves they would take other features of what they share, and be built twice.
test: setup-test ## all tests
	$(CARGO) build --release --workspace --lib --bins --tests
	@$(BATON) models fetch
	$(CARGO) test --release --workspace

test-pure:      ## the pure rooms alone, in seconds
	$(CARGO) test $(PURE)

bench: setup-test build models ## benchmarks with comparisons; writes target/bench/summary.json
	$(CARGO) bench -p baton-whole --bench handoff
	$(CARGO) bench -p baton-whole --bench voice
	$(CARGO) bench -p baton-whole --bench spoken
	$(CARGO) bench -p baton-meaning --bench turn
	$(CARGO) bench -p baton-whole --bench record
	$(CARGO) bench -p baton-crm --bench outbox
	$(CARGO) bench -p baton-media --bench relay
	$(CARGO) bench -p baton-tone --bench tone

load: setup-test build models ## SIPp load runs against the gateway; prints a table
	scripts/load.sh

lint: setup     ## format, clippy, bans
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	scripts/bans.sh

setup:
	@scripts/setup.sh

setup-test:
	@scripts/setup.sh test

build: setup
	$(CARGO) build --release --workspace

models: build
	@$(BATON) models fetch

clean:          ## remove what was built (models stay)
	$(CARGO) clean
