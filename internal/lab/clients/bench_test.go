//go:build linux

package clients

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

// zone ends the names that the relay's one rule lets the client reach; the
// names outside it lead to the same origin and are there to be denied.
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

// bench is a client, a relay and an origin on one wire. The client's packets to
// the origin are prohibited; the relay may reach both.
type bench struct {
	user, relay, far *lab.Host
	origin           *origin
	ca               *lab.CA
	sluice           *lab.Sluice
}

// client is what a row works with: the bench, and the row's own host.
type client struct {
	*bench
	host string
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
		user:   n.Host(t, "user", netip.MustParsePrefix("198.18.0.7/15")),
		relay:  n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15")),
		far:    n.Host(t, "far", netip.MustParsePrefix("198.18.1.1/15")),
		origin: newOrigin(),
		ca:     lab.NewCA(t),
	}
	b.user.Prohibit(t, b.far.Prefix())
	// Before the relay starts: Go's resolver looks at /etc/hosts anew only
	// every five seconds.
	for _, name := range names {
		n.Name(t, name, b.far.Addr())
	}
	lab.ServeHTTP(t, b.far, ":80", b.origin)
	lab.ServeHTTPS(t, b.far, ":443", b.ca, names, b.origin)
	b.sluice = startRelay(t, b)
	return b
}

// try runs a program on the client's host in an environment of nothing but a
// PATH, a home and env, for at most two minutes.
func (b *bench) try(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	return b.tryInput(t, nil, env, name, args...)
}

func (b *bench) tryInput(t *testing.T, stdin []byte, env []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := b.user.Command(ctx, name, args...)
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, append(bareEnvIn(home), env...)
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	r := result{line: name + " " + strings.Join(args, " "), out: stdout.String(), err: stderr.String(), ok: err == nil}
	if ctx.Err() != nil {
		t.Fatalf("%s: not done in two minutes\n%s", r.line, r)
	}
	return r
}

// run is try for a program that has to succeed.
func (b *bench) run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	r := b.try(t, env, name, args...)
	if !r.ok {
		t.Fatalf("%s\n%s", r.line, r)
	}
	return r
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

// bareEnv is the environment of a program that owes nothing to the machine's
// user.
func bareEnv(t *testing.T) []string { return bareEnvIn(t.TempDir()) }

func bareEnvIn(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin",
		"HOME=" + home,
		"TMPDIR=" + home,
		"LC_ALL=C.UTF-8",
	}
}

// noWayAround fails if the client's host reaches the origin by itself.
func (b *bench) noWayAround(t *testing.T) {
	t.Helper()
	for _, port := range []string{"80", "443"} {
		conn, err := b.user.DialContext(t.Context(), "tcp", net.JoinHostPort(b.far.Addr().String(), port))
		if err == nil {
			conn.Close()
			t.Fatalf("the client reaches port %s of the origin without the relay", port)
		}
	}
}
