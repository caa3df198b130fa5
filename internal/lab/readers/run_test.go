//go:build linux

package readers

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/proxy"

	"sluice/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// The clients of a run, told apart by their addresses.
const (
	guest    = "127.0.0.2" // may go anywhere
	staff    = "127.0.0.3" // needs a password
	stranger = "127.0.0.4" // may go nowhere
	six      = "::1"       // may go anywhere
)

const configuration = `
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "[::1]:0"
[[rule]]
name    = "guests"
action  = "allow"
clients = ["127.0.0.2", "::1"]
ports   = ["1-65535"]
[[rule]]
name    = "staff"
action  = "allow"
clients = ["127.0.0.3"]
users   = ["ann lee"]
ports   = ["1-65535"]
[[user]]
name     = "ann lee"
password = %q
[egress]
allow_private = ["127.0.0.0/8", "::1"]
[log]
format = "squid"
access = %q
`

// figures are what a run has moved.
type figures struct {
	requests, denied, failed int // failed: admitted, but no origin was reached
	down                     int64
	client, method, user     map[string]int // requests of each
}

// run is a proxy under way, with the origins that its clients reach.
type run struct {
	*testing.T
	proxy   *lab.Local
	origins map[bool]string // by whether they are reached by IPv6
	log     string          // path
	figures
}

// squidLog has clients do what clients do, and returns the log in Squid's format with
// the figures that stand in it.
func squidLog(t *testing.T) (path string, _ figures) {
	t.Helper()
	r := &run{T: t, log: filepath.Join(t.TempDir(), "access.log"), origins: map[bool]string{
		false: origin(t, "127.0.0.1:0"), true: origin(t, "[::1]:0"),
	}}
	r.client, r.method, r.user = map[string]int{}, map[string]int{}, map[string]int{}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	r.proxy = lab.StartLocal(t, fmt.Sprintf(configuration, hash, r.log))
	for i := range 20 {
		r.plain(guest, "", 1000*i)
		r.tunnel(guest, "", 1000*i)
		r.socks(guest, "", 100000)
		r.plain(six, "", 10)
		r.tunnel(six, "", 200000)
		r.plain(staff, "ann lee", 1000)
		r.tunnel(staff, "ann lee", 1000)
		r.socks(staff, "ann lee", 1000)
	}
	for range 7 {
		r.refused(staff, http.StatusProxyAuthRequired)
		r.refused(stranger, http.StatusForbidden)
	}
	r.unreachable(guest)
	r.proxy.Stop(t)
	return r.log, r.figures
}

// origin serves as many bytes as it is asked for by the path.
func origin(t *testing.T, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Write(make([]byte, n))
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// dialer connects from a client's address to the listener of its family.
func (r *run) dialer(client string) (d *net.Dialer, listener, origin string) {
	addr := netip.MustParseAddr(client)
	d = &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)), Timeout: 10 * time.Second}
	for _, l := range r.proxy.Addrs() {
		if l.Addr().Is6() == addr.Is6() {
			listener = l.String()
		}
	}
	return d, listener, r.origins[addr.Is6()]
}

func (r *run) dial(client string) (conn net.Conn, origin string) {
	r.Helper()
	d, listener, origin := r.dialer(client)
	conn, err := d.DialContext(r.Context(), "tcp", listener)
	if err != nil {
		r.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn, origin
}

// count adds one record.
func (f *figures) count(client, method, user string, down int64) {
	f.requests++
	f.client[client]++
	f.method[method]++
	if user != "" {
		f.user[user]++
	}
	f.down += down
}

// credentials are the header field of a user, or nothing.
func credentials(user string) string {
	if user == "" {
		return ""
	}
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":secret")) + "\r\n"
}

// rest reads to the end and returns how many bytes there were.
func (r *run) rest(from io.Reader) int64 {
	r.Helper()
	n, err := io.Copy(io.Discard, from)
	if err != nil || n == 0 {
		r.Fatalf("%d bytes and %v", n, err)
	}
	return n
}

// plain is a request in absolute form.
func (r *run) plain(client, user string, size int) {
	r.Helper()
	conn, origin := r.dial(client)
	defer conn.Close()
	fmt.Fprintf(conn, "GET http://%s/%d HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n%[3]s\r\n", origin, size, credentials(user))
	r.count(client, "GET", user, r.rest(conn))
}

// tunnel is a CONNECT with a request in it.
func (r *run) tunnel(client, user string, size int) {
	r.Helper()
	conn, origin := r.dial(client)
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n%s\r\n", origin, credentials(user))
	b := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = b.ReadString('\n'); err != nil {
			r.Fatal(err)
		}
	}
	fmt.Fprintf(conn, "GET /%d HTTP/1.0\r\n\r\n", size)
	r.count(client, "CONNECT", user, r.rest(b))
}

// socks is a SOCKS5 tunnel with a request in it.
func (r *run) socks(client, user string, size int) {
	r.Helper()
	d, listener, origin := r.dialer(client)
	var auth *proxy.Auth
	if user != "" {
		auth = &proxy.Auth{User: user, Password: "secret"}
	}
	p, err := proxy.SOCKS5("tcp", listener, auth, d)
	if err != nil {
		r.Fatal(err)
	}
	conn, err := p.Dial("tcp", origin)
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /%d HTTP/1.0\r\n\r\n", size)
	r.count(client, "CONNECT", user, r.rest(conn))
}

// refused is a CONNECT without credentials that gets a status.
func (r *run) refused(client string, status int) {
	r.Helper()
	conn, origin := r.dial(client)
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", origin)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != status {
		r.Fatalf("%v, %v", answer, err)
	}
	io.Copy(io.Discard, answer.Body)
	r.denied++
	r.count(client, "CONNECT", "", 0)
}

// unreachable is a CONNECT to an origin that is not there.
func (r *run) unreachable(client string) {
	r.Helper()
	conn, _ := r.dial(client)
	defer conn.Close()
	fmt.Fprint(conn, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusBadGateway {
		r.Fatalf("%v, %v", answer, err)
	}
	r.failed++
	r.count(client, "CONNECT", "", 0)
}
