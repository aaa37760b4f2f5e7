# The commands of developers and CI. `make test` runs every check.

CARGO ?= cargo
IMAGE ?= bearward
PEERS := tests/peers

.DEFAULT_GOAL := build
.PHONY: build dist static deb test faults unit fmt fmt-check lint deny peers tools bench fuzz soak demo image clean

# Builds fast, to try things.
build:
	$(CARGO) build --release --locked

# The binary to ship: target/dist/bearward.
dist:
	$(CARGO) build --profile dist --locked

# The same without shared libraries, for any Linux: target/$(STATIC)/dist/bearward. It needs musl's compiler (in Debian
# musl-tools) and `rustup target add $(STATIC)`.
STATIC ?= x86_64-unknown-linux-musl
static:
	$(CARGO) build --profile dist --locked --target $(STATIC)

# A Debian package in target/debian. It needs `cargo install --locked cargo-deb`. The program itself prints its manual page and
# its completions.
GENERATED := target/generated
deb: dist
	mkdir -p $(GENERATED)
	target/dist/bearward man > $(GENERATED)/bearward.1
	target/dist/bearward completions bash > $(GENERATED)/bearward
	target/dist/bearward completions zsh > $(GENERATED)/_bearward
	target/dist/bearward completions fish > $(GENERATED)/bearward.fish
	$(CARGO) deb --profile dist --no-build --locked

test: fmt-check lint deny tools peers
	$(CARGO) test --workspace --locked --no-fail-fast

# The fault suite alone. Its tests wait most of the time, so that many run beside each other.
faults: tools
	RUST_TEST_THREADS=16 $(CARGO) test --locked --test faults

# The tests that need only Rust.
unit:
	$(CARGO) test --workspace --locked --lib --bins
	$(CARGO) test --locked --test layers

fmt:
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --locked --all-targets -- -D warnings

# Licences, sources and duplicate crates. Known vulnerabilities are a separate check, which needs the network:
# `cargo deny check advisories`.
deny:
	@if command -v cargo-deny >/dev/null 2>&1; then $(CARGO) deny --log-level error check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

# The authorization server that the tests run against. npm writes the stamp.
peers: $(PEERS)/node_modules/.package-lock.json

$(PEERS)/node_modules/.package-lock.json: $(PEERS)/package.json $(PEERS)/package-lock.json | tools
	cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
	@touch $@

tools:
	@sh $(PEERS)/tools.sh

# Compares the `dist` build with the installed ones of nginx, HAProxy and Envoy, with TLS and HTTP/2 too.
# `make bench BENCH="--kinds plain,h2c"` measures only these kinds; docs/PERFORMANCE.md has the rest.
bench:
	python3 benches/compare/compare.py $(BENCH)

# Runs each target for a while: `make fuzz SECONDS=600 TARGETS=framing_gate`. It needs a nightly toolchain and cargo-fuzz.
# `cargo test --test fuzz` checks the same promises without them, with FUZZ_ROUNDS and FUZZ_SEED for other mutations.
SECONDS ?= 120
TARGETS ?= framing_gate path token_response configuration
fuzz:
	@# The same dependencies as the proxy's, and libFuzzer.
	cp Cargo.lock fuzz/Cargo.lock
	@for target in $(TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -max_len=8192 -timeout=10 || exit 1; \
	done

# Minutes of mixed load with faults, reloads, restarts and kills, and an account that has to balance: `make soak MINUTES=60`.
# `cargo test` runs it for 2 minutes. It prints the seed of its choices; `make soak SEED=…` repeats them.
MINUTES ?= 10
SEED ?=
soak:
	SOAK_MINUTES=$(MINUTES) SOAK_SEED=$(SEED) $(CARGO) test --locked --test soak

demo:
	$(CARGO) run --release --locked -- demo

# A release names the base images by digest: `make image BASES="--build-arg BUILD_IMAGE=rust@sha256:… …"`.
image:
	docker build $(BASES) --tag $(IMAGE) .

clean:
	$(CARGO) clean
	rm -rf $(PEERS)/node_modules
