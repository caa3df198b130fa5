# The image holds the static binary and a list of certificate authorities, and runs as
# nobody's user.
#
#   docker build -t sluice .
#   docker run --network host sluice serve --allow 203.0.113.7/32 --to @docker-hub
#
# The registry mirror is an image of its own, which keeps its cache in a volume:
#
#   docker build -t sluice-mirror --target mirror .
#   docker run --network host -v mirror:/var/lib/sluice-mirror sluice-mirror serve \
#       --allow 203.0.113.0/24 --listen :5000 --tls-self
#
# Nothing here needs BuildKit. Where golang:1.26 cannot be had, name another
# image with Go in it: --build-arg GO_IMAGE=registry.example.com/golang:1.26
ARG GO_IMAGE=golang:1.26

FROM ${GO_IMAGE} AS build
ARG VERSION=unknown
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" -o / ./cmd/sluice ./cmd/sluice-mirror \
    && mkdir -p -m 0700 /new/var/lib/sluice-mirror

FROM scratch AS mirror
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /sluice-mirror /sluice-mirror
# A new volume is given the owner and the mode of what it is mounted on.
COPY --from=build --chown=65532:65532 /new /
USER 65532:65532
VOLUME /var/lib/sluice-mirror
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/sluice-mirror", "healthcheck"]
ENTRYPOINT ["/sluice-mirror"]
CMD ["serve"]

# No shell, no /etc/passwd: the user is a number, which Kubernetes' runAsNonRoot can
# check. The authorities are for "sluice doctor" and "sluice presets --check"; the proxy
# itself opens no TLS session.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /sluice /sluice
USER 65532:65532
EXPOSE 3128 1080
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/sluice", "healthcheck"]
ENTRYPOINT ["/sluice"]
CMD ["serve"]
