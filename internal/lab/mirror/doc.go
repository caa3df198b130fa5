// Package mirror has the tests of sluice-mirror with the clients that people have:
// dockerd, containerd, skopeo and crane pull by it, in each way that it offers, from
// registries that behave as Docker Hub, gcr.io and ghcr.io do. The clients' hosts have
// no way to any registry, so that what they pull has come through the mirror.
package mirror
