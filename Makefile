# What a developer runs, and CI too: `make test` is everything.

CARGO ?= cargo
IMAGE ?= bearward
PEERS := tests/peers

.DEFAULT_GOAL := build
.PHONY: build test unit fmt fmt-check lint deny peers tools demo image clean

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

demo:
	$(CARGO) run --release --locked -- demo

image:
	docker build --tag $(IMAGE) .

clean:
	$(CARGO) clean
	rm -rf $(PEERS)/node_modules
