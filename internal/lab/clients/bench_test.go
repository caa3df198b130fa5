//go:build linux

package clients

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/lab"
)

// zone ends the names that the relay's rules let its clients reach.
const zone = ".origin.test"

// row is one program in one way of use. Each row has a host name of its own,
// so that its records cannot be another row's.
type row struct {
	name  string
	needs []string // programs of the machine
	run   func(t *testing.T, c *client)
}

// host is the name that the row's requests go to.
func (r row) host() string {
	return strings.NewReplacer(" ", "-", ",", "", "/", "-").Replace(strings.ToLower(r.name)) + zone
}

// bench is two client hosts, a relay and an origin on one wire. The clients'
// packets to the origin are prohibited; the relay reaches all.
type bench struct {
	net          *lab.Net
	user, member *lab.Host // admitted by address; by address and credentials
	relay, far   *lab.Host
	origin       *origin
	secure       *lab.Origin // counts the bytes of the origin's TLS
	ca           *lab.CA
	sluice       *lab.Proxy

	// What the origin has in stock, each absent where the machine lacks the
	// program that makes it.
	debs           [][]byte
	wheel          []byte
	commit         string // at the git repository's main branch
	layout, digest string // of the image
}

const (
	plainPort       = 80
	tlsPort         = 443
	registryPort    = 5000
	registryTLSPort = 5443
)

// newBench makes the hosts, starts the relay and the origin, and gives the
// origin these names.
func newBench(t *testing.T, names []string) *bench {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Part: "real clients"})
	n := lab.New(t)
	b := &bench{
		net:    n,
		user:   n.Host(t, "user", netip.MustParsePrefix("198.18.0.7/15")),
		member: n.Host(t, "member", netip.MustParsePrefix("198.18.0.8/15")),
		relay:  n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15")),
		far:    n.Host(t, "far", netip.MustParsePrefix("198.18.1.1/15")),
		origin: newOrigin(),
		ca:     lab.NewCA(t),
	}
	for _, h := range []*lab.Host{b.user, b.member} {
		h.Prohibit(t, b.far.Prefix())
	}
	// Before the relay starts: Go's resolver looks at /etc/hosts anew only
	// every five seconds.
	for _, name := range names {
		n.Name(t, name, b.far.Addr())
	}
	lab.ServeHTTP(t, b.far, ":80", b.origin)
	b.secure = lab.ServeHTTPS(t, b.far, ":443", b.ca, names, b.origin)
	file := filepath.Join(t.TempDir(), "sluice.toml")
	write(t, file, policy(t, b))
	b.sluice = lab.StartSluice(t, b.relay, "--config", file)
	return b
}

// stock fills the origin's shelves.
func (b *bench) stock(t *testing.T, names []string) {
	t.Helper()
	b.wheel = b.origin.stockPip(t)
	b.origin.stockNpm(t)
	if has("dpkg-deb") {
		b.debs = b.origin.stockApt(t)
	}
	if has("git") {
		b.commit = b.origin.stockGit(t)
	}
	if has("docker-registry") && has("skopeo") {
		b.stockImages(t, names)
	}
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// alice is the user of the configuration.
const alice, password = "alice", "a lock: 100% @ the weir"

// policy admits one host by its address and one by address and user. Both may
// go to the zone, and to the origin's address for programs that look names up
// by themselves.
func policy(t *testing.T, b *bench) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprintf(`["*%s", "%s"]`, zone, b.far.Addr())
	ports := fmt.Sprint([]int{plainPort, tlsPort, registryPort, registryTLSPort})
	return fmt.Sprintf(`
[[rule]]
name    = "lab"
action  = "allow"
clients = ["%[1]s"]
to      = %[3]s
ports   = %[4]s

[[rule]]
name    = "members"
action  = "allow"
clients = ["%[2]s"]
users   = ["%[5]s"]
to      = %[3]s
ports   = %[4]s

[[user]]
name     = "%[5]s"
password = "%[6]s"

[egress]
allow_private = ["%[7]s"]
`, b.user.Prefix(), b.member.Prefix(), to, strings.ReplaceAll(ports, " ", ", "), alice, hash, lab.Range)
}

// result is what a program printed and whether it was content.
type result struct {
	line     string
	out, err string
	ok       bool
}

func (r result) String() string {
	return "stdout: " + clip(r.out) + "\nstderr: " + clip(r.err)
}

func clip(s string) string {
	if len(s) > 4000 {
		return s[:2000] + " … " + s[len(s)-2000:]
	}
	return s
}

// wantGreeting fails unless the program printed the greeting, times times, and
// nothing else.
func (r result) wantGreeting(t *testing.T, times int) {
	t.Helper()
	if want := strings.Repeat(greeting, times); r.out != want {
		t.Fatalf("%s printed %q, want %q\nstderr: %s", r.line, clip(r.out), want, clip(r.err))
	}
}
