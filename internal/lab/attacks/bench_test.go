//go:build linux

package attacks

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const (
	greeting = "greetings from behind the weir\n"
	// site is one of the names that nmap's scripts ask for when they are told
	// none. In the lab it is the origin's, which answers as the scripts expect.
	site = "www.google.com"

	member, password = "ann", "sesame"

	httpPort, socksPort = 3128, 1080
)

// bench is the hosts of a test: nobody but the relay reaches the origin.
type bench struct {
	user, member, stranger *lab.Host
	relay, far             *lab.Host
	ca                     *lab.CA
	origin                 *lab.Origin
	sluice                 *lab.Proxy
}

// newBench starts an origin and a relay with further configuration.
func newBench(t *testing.T, more string, programs ...string) *bench {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: programs})
	n := lab.New(t)
	host := func(name, addr string) *lab.Host {
		return n.Host(t, name, netip.MustParsePrefix(addr+"/15"))
	}
	b := &bench{
		user:     host("user", "198.18.0.7"),
		member:   host("member", "198.18.0.8"),
		stranger: host("stranger", "198.18.0.66"),
		relay:    host("relay", "198.18.0.2"),
		far:      host("far", "198.18.1.1"),
		ca:       lab.NewCA(t),
	}
	dns := n.ServeDNS(t, host("names", "198.18.0.53"))
	dns.Name(site, b.far.Addr())
	for _, h := range []*lab.Host{b.user, b.member, b.stranger} {
		h.Prohibit(t, b.far.Prefix())
	}
	handler := http.HandlerFunc(serve)
	b.origin = lab.ServeHTTP(t, b.far, ":80", handler)
	lab.ServeHTTPS(t, b.far, ":443", b.ca, []string{site}, handler)
	file := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(file, []byte(b.policy(t)+more), 0o644); err != nil {
		t.Fatal(err)
	}
	b.sluice = lab.StartSluice(t, b.relay, "--config", file)
	return b
}

// policy admits one client by its address, and one by address and password.
func (b *bench) policy(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
[[rule]]
name    = "lab"
action  = "allow"
clients = ["%s"]

[[rule]]
name    = "members"
action  = "allow"
clients = ["%s"]
users   = [%q]

[[user]]
name     = %[3]q
password = %[4]q

[egress]
allow_private = ["%[5]s"]
`, b.user.Addr(), b.member.Addr(), member, hash, lab.Range)
}

// serve is the origin.
func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "gws") // what nmap's scripts take for a proof
	switch r.URL.Path {
	case "/large":
		const size = 4 << 20
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Write(make([]byte, size))
	default:
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, greeting)
	}
}

// addr is one of the relay's listeners, as other hosts reach it.
func (b *bench) addr(port uint16) string {
	return netip.AddrPortFrom(b.relay.Addr(), port).String()
}

// result is what a program printed.
type result struct {
	line, out, err string
	ok             bool
}

func (r result) String() string {
	return fmt.Sprintf("%s\nstdout: %s\nstderr: %s", r.line, r.out, r.err)
}

// run runs a program on a host with this input, for at most a minute, with a home
// of its own and none of the machine's settings.
func run(t *testing.T, h *lab.Host, input, name string, args ...string) result {
	t.Helper()
	r := result{line: name + " " + strings.Join(args, " ")}
	r.out, r.err, r.ok = h.Try(t, time.Minute, []byte(input), nil, name, args...)
	return r
}

// write writes a file that goes with the test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantRecords waits for this many records with these values behind the first seen
// ones.
func (b *bench) wantRecords(t *testing.T, seen, count int, want map[string]string) []lab.Record {
	t.Helper()
	old := make(map[string]bool, seen)
	for _, r := range b.sluice.Records()[:seen] {
		old[r.String("id")] = true
	}
	return b.sluice.WaitRecords(t, count, func(r lab.Record) bool { return !old[r.String("id")] && r.Has(want) })
}
