# The hub in an image of one static program: no shell, no libraries, user 65532.
#
#   docker build -f deploy/image/hub.Dockerfile -t tributary-hub .
#   docker run -v /etc/tributary:/etc/tributary:ro -v tributary-hub:/var/lib/tributary-hub \
#     -p 3100:3100 -p 9443:9443/tcp -p 9443:9443/udp tributary-hub
#
# User 65532 must be able to read hub.yaml and the files it names; the private key must be its own, mode 0600.
# In hub.yaml http.listen is 0.0.0.0:3100 (of the container); the admin address stays on the container's loopback.
#
# The same static program without a container engine (musl-tools or the like must be installed; the target is tried with a debug build):
#   rustup target add x86_64-unknown-linux-musl
#   cargo build --release --target x86_64-unknown-linux-musl -p hub
# The image build itself has not been tried yet.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base cmake linux-headers perl
WORKDIR /src
COPY . .
# Alpine's own target is musl, linked statically.
RUN cargo build --release --locked -p hub && install -D target/release/tributary-hub /out/tributary-hub && mkdir -p /out/state

FROM scratch
COPY --from=build /out/tributary-hub /tributary-hub
COPY --from=build --chown=65532:65532 /out/state /var/lib/tributary-hub
USER 65532:65532
VOLUME /var/lib/tributary-hub
EXPOSE 3100/tcp 9443/tcp 9443/udp
ENTRYPOINT ["/tributary-hub"]
CMD ["serve", "--config", "/etc/tributary/hub.yaml"]
