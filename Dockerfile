# The engine as a small image: one binary, the queries, no shell.
#   docker build -t streamer . && docker run --rm streamer run queries/anomaly.sql --duration 20s

FROM rust:1.95-trixie AS build
# librdkafka is C, built by its own configure; zlib and zstd come vendored with their crates. This image has zlib's
# headers: without the next line the program would be linked against a libz.so.1 that the last image need not have.
ENV LIBZ_SYS_STATIC=1
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies first: they are built once and kept as long as the lock file stands.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests benches && echo '//! placeholder' > src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && echo 'fn main() {}' > tests/main.rs && echo 'fn main() {}' > benches/main.rs \
    && cargo build --release --locked
COPY src src
# The placeholders are newer than the sources' own times: make cargo look again.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked \
    && mkdir -p /out/data && cp target/release/streamer /out/

FROM gcr.io/distroless/cc-debian13:nonroot
WORKDIR /srv/streamer
COPY --from=build /out/streamer /usr/local/bin/streamer
COPY --from=build --chown=65532:65532 /out/data data
COPY queries queries
USER 65532:65532
VOLUME /srv/streamer/data
ENTRYPOINT ["streamer"]
CMD ["run", "queries/anomaly.sql"]
