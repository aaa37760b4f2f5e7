# syntax=docker/dockerfile:1

# rust-toolchain.toml stays outside: the image's own toolchain is the one meant, and rustup would look for another.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies alone, so that a change of the sources does not build them again.
COPY Cargo.toml Cargo.lock ./
# The tests' own crate is a member of the workspace, so its manifest has to be there; nothing of it is built.
COPY tests/testkit/Cargo.toml tests/testkit/Cargo.toml
RUN mkdir src benches tests/testkit/src \
 && touch tests/testkit/src/lib.rs \
 && echo '//! Stands in for the sources.' > src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && echo 'fn main() {}' > benches/steps.rs \
 && cargo build --release --locked --lib --bins \
 && rm -r src

COPY config config
COPY src src
# The stand-ins are newer than the sources would seem to be.
RUN touch src/lib.rs src/main.rs \
 && cargo build --release --locked --bins \
 && mkdir -m 0700 /state

# glibc, libgcc and the CA certificates; no shell, and a user that is not root (65532).
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/bearward /bearward
COPY --from=build --chown=65532:65532 --chmod=0700 /state /var/lib/bearward
ENV STATE_DIRECTORY=/var/lib/bearward
# What the example configuration listens on: a route, and the admin listener.
EXPOSE 8080 9900
ENTRYPOINT ["/bearward"]
CMD ["run", "-c", "/etc/bearward/bearward.toml"]
