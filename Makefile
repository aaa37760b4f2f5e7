# What a developer runs, and CI too: `make test` is everything.

CARGO ?= cargo
IMAGE ?= bearward
PEERS := tests/peers

.DEFAULT_GOAL := build
.PHONY: build test unit fmt fmt-check lint deny peers tools bench fuzz demo image clean

build:
	$(CARGO) build --release --locked

test: fmt-check lint deny tools peers
	$(CARGO) test --locked --no-fail-fast

# The tests that need nothing but Rust.
unit:
	$(CARGO) test --locked --lib --bins --test layers

fmt:
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings

# Licences, sources and duplicate crates; known vulnerabilities are asked for apart, since that needs the network:
# `cargo deny check advisories`.
deny:
	@if command -v cargo-deny >/dev/null 2>&1; then $(CARGO) deny --log-level error check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

# The authorization server that the tests run against; npm writes the stamp itself.
peers: $(PEERS)/node_modules/.package-lock.json

$(PEERS)/node_modules/.package-lock.json: $(PEERS)/package.json $(PEERS)/package-lock.json | tools
	cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
	@touch $@

tools:
	@sh $(PEERS)/tools.sh

# Side by side with whichever of nginx, HAProxy and Envoy is installed, with TLS and HTTP/2 too: `make bench BENCH="--kinds plain,h2c"`
# measures these alone. `cargo bench` times the steps of a request.
bench:
	python3 benches/compare/compare.py $(BENCH)

# Each target for a while: `make fuzz SECONDS=600 TARGETS=admission`. Needs a nightly toolchain and cargo-fuzz; without them the same
# promises are checked by `cargo test --test fuzz`, with FUZZ_ROUNDS and FUZZ_SEED for other mutations.
SECONDS ?= 120
TARGETS ?= admission answer framing_gate hpack http2 path token_response configuration
fuzz:
	@# The very dependencies that the proxy is built with, and libFuzzer's.
	cp Cargo.lock fuzz/Cargo.lock
	@for target in $(TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -max_len=8192 -timeout=10 || exit 1; \
	done

demo:
	$(CARGO) run --release --locked -- demo

image:
	docker build --tag $(IMAGE) .

clean:
	$(CARGO) clean
	rm -rf $(PEERS)/node_modules
