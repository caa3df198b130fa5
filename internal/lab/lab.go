//go:build linux

// Package lab makes hosts for tests out of network namespaces.
//
// A [Net] is one bridge, the wire, in a namespace of its own; a [Host] is a
// namespace with one leg on that wire. Nothing leads from there to the outside:
// the hosts have addresses of 198.18.0.0/15 (set aside for benchmarks by RFC
// 2544) or fd00::/8, no default route, and the bridge has no leg in the
// machine's own namespace. A host that one of them cannot reach is a route:
//
//	lab.Need(t, lab.Needs{Root: true, Programs: []string{"curl"}})
//	n := lab.New(t)
//	relay := n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
//	blocked := n.Host(t, "blocked", netip.MustParsePrefix("198.18.0.3/15"))
//	cdn := n.Host(t, "cdn", netip.MustParsePrefix("198.18.1.1/15"))
//	n.Name(t, "cdn.example", cdn.Addr())
//	blocked.Prohibit(t, cdn.Prefix())
//	proxy := lab.StartSluice(t, relay, "--allow", blocked.Prefix().String(), "--allow-private", lab.Range)
//	out, err := blocked.Command(ctx, "curl", "-x", proxy.URL("http"), "http://cdn.example/").Output()
//
// Commands of a host run in its network namespace and in a mount namespace of
// their own, in which the lab's /etc/hosts, resolv.conf and nsswitch.conf are
// bound over the machine's. That is not `ip netns exec`, which mounts a new
// /sys and so loses the cgroup mounts that dockerd needs. The test process opens
// sockets inside a host with [Host.Listen] and [Host.DialContext].
//
// All of it goes when the test ends. What a killed run has left (namespaces,
// processes in them, files) is removed by the next [New].
//
// The package leaves to its users what runs on the hosts; dockerhub has the lab
// that plays Docker Hub.
package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Range holds every IPv4 address of the lab. It is not public, so a proxy that
// guards non-public addresses has to be told to allow it.
const Range = "198.18.0.0/15"

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// Net is a wire with hosts on it. Make one with [New].
type Net struct {
	id  string // begins every name that the Net makes on this machine
	dir string

	mu    sync.Mutex
	names map[string][]netip.Addr
	hosts map[string]*Host
}

// New makes an empty wire, which t's end removes with all that is on it.
func New(t testing.TB) *Net {
	t.Helper()
	sweep(t)
	n := &Net{
		id:    fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), rand.Text()[:6]),
		names: make(map[string][]netip.Addr),
		hosts: make(map[string]*Host),
	}
	n.dir = filepath.Join(processDir(os.Getpid()), n.id)
	for _, err := range []error{
		os.MkdirAll(n.dir, 0o755),
		os.WriteFile(n.path("hosts"), []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n"), 0o644),
		// Nothing listens there: a name that is not in hosts fails at once.
		os.WriteFile(n.path("resolv.conf"), []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644),
		os.WriteFile(n.path("nsswitch.conf"), []byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { n.close(t) })
	mustIP(t, "netns", "add", n.wire())
	mustIP(t, "-n", n.wire(), "link", "add", "wire", "type", "bridge")
	mustIP(t, "-n", n.wire(), "link", "set", "wire", "up")
	return n
}

func (n *Net) wire() string { return n.id + "-wire" }

func (n *Net) path(file string) string { return filepath.Join(n.dir, file) }

// Dir is a directory for the files of what runs in the lab. Its path is short
// enough for unix sockets; it goes with the Net.
func (n *Net) Dir() string { return n.dir }

// Host adds a host with these addresses (the prefix length says what it holds
// to be on its link). Its name stands for the addresses on every host.
func (n *Net) Host(t testing.TB, name string, addrs ...netip.Prefix) *Host {
	t.Helper()
	if len(addrs) == 0 {
		t.Fatalf("lab: host %s needs an address", name)
	}
	h := &Host{net: n, name: name, netns: n.id + "-" + name, addrs: addrs}
	n.mu.Lock()
	port := fmt.Sprintf("port%d", len(n.hosts))
	taken := n.hosts[name] != nil
	n.hosts[name] = h
	n.mu.Unlock()
	if taken {
		t.Fatalf("lab: two hosts named %s", name)
	}
	mustIP(t, "netns", "add", h.netns)
	mustIP(t, "-n", n.wire(), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.netns)
	mustIP(t, "-n", n.wire(), "link", "set", port, "master", "wire", "up")
	mustIP(t, "-n", h.netns, "link", "set", "lo", "up")
	mustIP(t, "-n", h.netns, "link", "set", "eth0", "up")
	for _, a := range addrs {
		h.AddAddr(t, a)
		n.Name(t, name, a.Addr())
	}
	return h
}

// Name lets every host's commands find addrs under name, from now on.
func (n *Net) Name(t testing.TB, name string, addrs ...netip.Addr) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&lines, "%s\t%s\n", a, name)
	}
	n.names[name] = append(n.names[name], addrs...)
	// Appended in place: running commands have this very file bound to /etc/hosts.
	f, err := os.OpenFile(n.path("hosts"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(lines.String())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// lookup is what the hosts file says of name.
func (n *Net) lookup(name string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.names[name])
}

func (n *Net) close(t testing.TB) {
	for _, ns := range namespaces(n.id + "-") {
		if err := removeNamespace(ns); err != nil {
			t.Errorf("lab: %v", err)
		}
	}
	if err := os.RemoveAll(n.dir); err != nil {
		t.Errorf("lab: %v", err)
	}
	// Gone with its last Net, unless the built binary is in it.
	_ = os.Remove(filepath.Dir(n.dir))
}

// mustIP runs iproute2's ip.
func mustIP(t testing.TB, args ...string) {
	t.Helper()
	if out, err := command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("lab: ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// command runs a program of the machine in the test's own namespaces.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(program(name), args...)
	cmd.Env = environment()
	return cmd
}
