# The edge in an image of one static program: no shell, no libraries, user 65532.
#
#   docker build -f deploy/image/edge.Dockerfile -t tributary-edge .
#   docker run --user 0 --cap-drop ALL --cap-add DAC_READ_SEARCH --security-opt no-new-privileges --read-only \
#     -v /etc/tributary:/etc/tributary:ro -v /var/log:/var/log:ro -v tributary-edge:/var/lib/tributary-edge tributary-edge
#
# Logs of root are readable to user 0 with that one capability only, as above; where the logs are open to others or to a
# group, leave `--user 0` and the capability away and add the group (--group-add). The state folder is open (1777) for either
# user; the WAL in it belongs to the one that made it, so keep to one. Links in /var/log/containers lead to /var/log/pods: mount /var/log whole.
#
# The same static program without a container engine (musl-tools or the like must be installed; the target is tried with a debug build):
#   rustup target add x86_64-unknown-linux-musl
#   cargo build --release --target x86_64-unknown-linux-musl -p edge
# The image build itself has not been tried yet.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base cmake linux-headers perl
WORKDIR /src
COPY . .
# Alpine's own target is musl, linked statically.
RUN cargo build --release --locked -p edge && install -D target/release/tributary-edge /out/tributary-edge && mkdir -m 1777 /out/state

FROM scratch
COPY --from=build /out/tributary-edge /tributary-edge
COPY --from=build --chown=65532:65532 /out/state /var/lib/tributary-edge
USER 65532:65532
VOLUME /var/lib/tributary-edge
EXPOSE 9080/tcp
ENTRYPOINT ["/tributary-edge"]
CMD ["run", "--config", "/etc/tributary/edge.yaml"]
