//go:build linux

package setup

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const image = "docker.io/library/hello-world:latest"

// host is a machine that reaches the registry and its tokens, and whose every
// connection to the blobs is refused by the way there.
type host struct {
	*lab.Machine
	distribution
	t     *testing.T
	net   *lab.Net
	dir   string // for what must not be kept in memory
	hub   *dockerhub.Hub
	relay *lab.Host // which reaches everything
	proxy *lab.Proxy
}

// newHost boots the host.
func newHost(t *testing.T, part string, d distribution, programs ...string) *host {
	t.Helper()
	programs = append(append(programs, d.needs...), "dockerd", "docker", "containerd", "runc", "docker-registry", "curl", "pidof")
	lab.Need(t, lab.Needs{Root: true, Part: part, Programs: programs})
	n := lab.New(t)
	h := &host{t: t, net: n, distribution: d, dir: n.Dir(), hub: dockerhub.Start(t, n)}
	h.relay = n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
	blocked := n.Host(t, "blocked", netip.MustParsePrefix("198.18.0.10/15"))
	blocked.Prohibit(t, h.hub.CDN.Prefix())
	h.hub.PushHello(t)
	h.proxy = lab.StartSluice(t, h.relay, "--allow", blocked.Prefix().String(), "--to", "@docker-hub", "--allow-private", lab.Range)
	if err := os.Mkdir(h.home(), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"etc/ssl/certs/ca-certificates.crt": h.hub.CA.File(),
		"etc/docker/daemon.json":            h.file("daemon.json", fmt.Sprintf(daemonJSON, h.dir+"/docker")),
		"etc/containerd/config.toml":        h.file("containerd.toml", fmt.Sprintf(containerdTOML, h.dir+"/containerd", h.dir+"/opt")),
		"bin/sluice":                        lab.Sluice(t),
		"bin/docker":                        dockerhub.Client(),
		// When the list of authorities is made anew, it is of those that the host has of
		// its own, see below, and Java is not told.
		"etc/ca-certificates.conf":                  h.file("ca-certificates.conf", "# none\n"),
		"etc/ca-certificates/update.d/jks-keystore": h.file("jks-keystore", "#!/bin/sh\n"),
	}
	d.addFiles(h, files)
	if d.noSystemd {
		h.Machine = lab.StartMachine(t, blocked, files)
	} else {
		h.Machine = lab.StartSystemd(t, blocked, files).Machine
	}
	h.Write(t, "/usr/local/share/ca-certificates/lab.crt", h.read(h.hub.CA.File()))
	return h
}

// daemonJSON is as an administrator may have written it. Downloads are tried once, so
// that a failure does not take minutes.
const daemonJSON = `{
    "data-root": %q,
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false,
    "max-download-attempts": 1
}
`

const containerdTOML = `version = 2
root = %q
[plugins."io.containerd.internal.v1.opt"]
path = %q
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
`

func (h *host) home() string { return h.dir + "/home" }

func (h *host) file(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// try runs a command line in the host's shell and returns what it prints.
func (h *host) try(line string) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "sh", "-c", line)
	cmd.Env = append(cmd.Env, "HOME="+h.home())
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), err
}

// run is try for what must succeed.
func (h *host) run(line string) string {
	h.t.Helper()
	out, err := h.try(line)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// etc is what stands in /etc: each file's path, mode and text.
func (h *host) etc() string {
	h.t.Helper()
	return h.run(`cd /etc && find . -type f ! -name '*.lock' ! -name key.json -exec stat -c '%n %a' {} + -exec sha256sum {} + | sort`)
}

// puller is a program that pulls the image, all of it.
type puller struct {
	name   string
	pull   func(h *host) (string, error)
	remove string // a command line that takes the image away again
}

// byCommand pulls by a command line.
func byCommand(line string) func(*host) (string, error) {
	return func(h *host) (string, error) { return h.try(line) }
}

// byContainerd has containerd pull the image by itself.
func byContainerd(h *host) (string, error) {
	h.t.Helper()
	return lab.PullByContainerd(h.t.Context(), h.Path("/run/containerd/containerd.sock"), image)
}

// wantBlocked wants pulls to fail at the blobs.
func (h *host) wantBlocked(when string, pullers []puller) {
	h.t.Helper()
	for _, p := range pullers {
		out, err := p.pull(h)
		if address := h.hub.CDN.Addr().String() + ":443"; err == nil || !strings.Contains(out, address) {
			h.t.Fatalf("%s: %s: the pull ends with %v, want a failure at %s", when, p.name, err, address)
		}
	}
}

// wantPulls wants pulls to complete, with the blobs from the CDN, to which only the
// relay has a way.
func (h *host) wantPulls(when string, pullers []puller) {
	h.t.Helper()
	for _, p := range pullers {
		before := h.hub.Blobs.BytesOut()
		if _, err := p.pull(h); err != nil {
			h.t.Fatalf("%s: %s: %v", when, p.name, err)
		}
		if n := h.hub.Blobs.BytesOut() - before; n < dockerhub.FillerSize {
			h.t.Fatalf("%s: %s: pulled, and the CDN has sent %d bytes", when, p.name, n)
		}
		h.run(p.remove)
	}
}
