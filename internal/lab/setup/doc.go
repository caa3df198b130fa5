// Package setup has the test of the one command that takes a host from blocked to
// pulling: Docker, containerd, podman and skopeo of the distribution, under a systemd
// of their own, in front of the Docker Hub of package dockerhub, whose blobs the host
// cannot reach.
package setup
