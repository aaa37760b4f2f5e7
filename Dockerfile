# syntax=docker/dockerfile:1

# The base images. A tag can be moved to another image, a digest cannot: a release passes both by digest, as in
#   docker build --build-arg BUILD_IMAGE=rust@sha256:… --build-arg RUN_IMAGE=gcr.io/distroless/cc-debian12@sha256:… .
# `docker buildx imagetools inspect IMAGE:TAG` prints the digest. None stands here yet, since it has to be read from
# the registries themselves.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# rust-toolchain.toml is not copied: the image has the right toolchain, and rustup would download another one.
FROM ${BUILD_IMAGE} AS build
WORKDIR /build

# Only the dependencies, so that a change of the sources does not build them again.
COPY Cargo.toml Cargo.lock ./
# The tests' crate is a member of the workspace, so cargo reads its manifest. It is not built.
COPY tests/testkit/Cargo.toml tests/testkit/Cargo.toml
RUN mkdir src tests/testkit/src \
 && touch tests/testkit/src/lib.rs \
 && echo '//! Stands in for the sources.' > src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --profile dist --locked --lib --bins \
 && rm -r src

COPY config config
COPY src src
# The stand-ins above are newer than the sources' own times.
RUN touch src/lib.rs src/main.rs \
 && cargo build --profile dist --locked --bins \
 && mkdir -m 0700 /state

# glibc, libgcc and the CA certificates; no shell, and a user that is not root (65532).
FROM ${RUN_IMAGE}
# The tag says so, a digest may not.
USER 65532:65532
COPY --from=build /build/target/dist/bearward /bearward
COPY --from=build --chown=65532:65532 --chmod=0700 /state /var/lib/bearward
ENV STATE_DIRECTORY=/var/lib/bearward
# The ports of the example configuration: a route, and the admin listener.
EXPOSE 8080 9900
ENTRYPOINT ["/bearward"]
CMD ["run", "-c", "/etc/bearward/bearward.toml"]
