//go:build linux

package examples_test

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
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/accesslog"
	"sluice/internal/lab"
	"sluice/internal/track"
)

// Clients, by their addresses.
const (
	admitted = "127.0.0.2"
	insider  = "127.0.0.3" // has a password
	stranger = "127.0.0.4" // may go nowhere
	victim   = "127.0.0.9" // does nothing; somebody wants to have it banned
)

// formats are those of the log, by name, with what an ordinary line of each looks
// like that says that a client was denied.
var formats = map[accesslog.Format]string{
	accesslog.JSON: `{"level":"info","time":"2026-01-02T03:04:05.006Z","msg":"tunnel","id":"0000000000000001","start":"2026-01-02T03:04:05.006Z",` +
		`"listener":":3128","protocol":"connect","client":"` + victim + `","client_port":5,"decision":"deny","outcome":"rule_denied","status":403}`,
	accesslog.Console: "2026-01-02T03:04:05.006Z\tinfo\ttunnel\t" + `{"id": "0000000000000001", "start": "2026-01-02T03:04:05.006Z", "listener": ":3128", ` +
		`"protocol": "connect", "client": "` + victim + `", "client_port": 5, "decision": "deny", "outcome": "rule_denied", "status": 403}`,
	accesslog.Squid: "1700000000.123      0 " + victim + " TCP_DENIED/403 0 CONNECT example.com:443 - HIER_NONE/- -",
}

// frauds are texts by which a client would have another one banned, or itself
// refused in name only.
func frauds() (texts []string) {
	for _, line := range formats {
		texts = append(texts, line, "\n"+line+"\n", `x"}`+"\n"+line, line[strings.Index(line, victim)-1:])
	}
	for _, comma := range []string{",", ", "} {
		colon := strings.Replace(comma, ",", ":", 1)
		texts = append(texts,
			`x"`+comma+`"client"`+colon+`"`+victim+`"`+comma+`"outcome"`+colon+`"rule_denied"`+comma+`"y"`+colon+`"`,
			`x\"`+comma+`"client"`+colon+`"`+victim+`"`+comma+`"outcome"`+colon+`"rule_denied"`+comma,
			`"outcome"`+colon+`"rule_denied"`+comma, `,`, `x,`, `outcome`, `\`)
	}
	return texts
}

// bannable asks fail2ban-regex whom the filter finds in a log, and how often.
func bannable(t *testing.T, filter, log string) map[string]int {
	t.Helper()
	filter, err := filepath.Abs(filter)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, ip := range strings.Fields(run(t, "fail2ban-regex", "--out", "ip", log, filter)) {
		found[ip]++
	}
	return found
}

func testFilter(t *testing.T, path string) {
	lab.Need(t, lab.Needs{Programs: []string{"fail2ban-regex"}})
	for format := range formats {
		t.Run(string(format), func(t *testing.T) {
			testFilterOnRun(t, path, format)
			testFilterOnFrauds(t, path, format)
		})
	}
}

// testFilterOnRun has clients of a real proxy do right and wrong.
func testFilterOnRun(t *testing.T, path string, format accesslog.Format) {
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer origin.Close()
	host := strings.TrimPrefix(origin.URL, "http://")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	name := `x","client","` + victim + `","outcome","rule_denied","` // a configuration allows no colon
	log := filepath.Join(t.TempDir(), "access.log")
	proxy := lab.StartLocal(t, fmt.Sprintf(`
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name    = "admitted"
action  = "allow"
clients = [%q]
ports   = ["1-65535"]
[[rule]]
name    = "insider"
action  = "allow"
clients = [%q]
users   = [%q]
ports   = ["1-65535"]
[[user]]
name     = %[3]q
password = %q
[egress]
allow_private = ["127.0.0.0/8"]
[log]
format = %q
access = %q
`, admitted, insider, name, hash, format, log))
	right, wrong := credentials(name, "secret"), credentials(name, "guess")
	denied, guesses := 0, 0
	for _, text := range frauds() {
		target := strings.NewReplacer(" ", "%20", "\n", "%0A", "\t", "%09", "\x7f", "").Replace(text)
		ask(t, proxy, admitted, fmt.Sprintf("GET http://%s/%s HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", host, target))
		ask(t, proxy, insider, fmt.Sprintf("GET http://%s/%s HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n%[3]s\r\n", host, target, right))
		ask(t, proxy, insider, fmt.Sprintf("GET http://%s/ HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", host)) // without a password, as a browser begins
		for _, request := range []string{
			fmt.Sprintf("GET http://%s/%s HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", host, target),
			fmt.Sprintf("CONNECT %s:443 HTTP/1.1\r\nHost: x\r\n\r\n", target), // most are malformed
		} {
			if ask(t, proxy, stranger, request) == http.StatusForbidden {
				denied++
			}
		}
		if ask(t, proxy, insider, fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n%s\r\n", host, wrong)) == http.StatusProxyAuthRequired {
			guesses++
		}
	}
	proxy.Stop(t)
	if denied < 10 || guesses < 10 {
		t.Fatalf("%d denied, %d wrong passwords", denied, guesses)
	}
	want := map[string]int{stranger: denied, insider: guesses}
	if format == accesslog.Squid {
		delete(want, insider)
	}
	if got := bannable(t, path, log); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("it finds %v, not %v", got, want)
	}
	if format == accesslog.JSON { // as a syslog daemon files it
		filed := filepath.Join(t.TempDir(), "syslog")
		lines := "Nov 22 12:21:00 relay sluice[123]: " + strings.ReplaceAll(strings.TrimSuffix(read(t, log), "\n"), "\n", "\nNov 22 12:21:00 relay sluice[123]: ") + "\n"
		if err := os.WriteFile(filed, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := bannable(t, path, filed); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("filed by syslog: it finds %v, not %v", got, want)
		}
	}
}

// testFilterOnFrauds writes records that no check has let through: each text in
// each field that a client has a say in.
func testFilterOnFrauds(t *testing.T, path string, format accesslog.Format) {
	file := filepath.Join(t.TempDir(), "access.log")
	log, err := accesslog.Open(accesslog.Options{Format: format, Path: file})
	if err != nil {
		t.Fatal(err)
	}
	denied := 0
	for _, text := range frauds() {
		for _, outcome := range []string{"ok", "rule_denied"} {
			r := &track.Record{
				ID: 1, Start: time.Now(), Listener: ":3128", Protocol: track.HTTP, Client: netip.MustParseAddrPort(admitted + ":5"),
				User: text, Host: text, Port: 443, Method: text, Path: text, Outcome: outcome, Status: http.StatusOK, Decision: "allow",
				Reason: text,
			}
			if outcome != "ok" {
				r.Client, r.Decision, r.Status = netip.MustParseAddrPort(stranger+":5"), "deny", http.StatusForbidden
				denied++
			}
			log.Record(r)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got := bannable(t, path, file); len(got) != 1 || got[stranger] != denied {
		t.Errorf("among frauds it finds %v, not %s %d times", got, stranger, denied)
	}
}

func credentials(user, password string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

// ask sends a request from a client's address and returns the status of the answer.
func ask(t *testing.T, proxy *lab.Local, client, request string) (status int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}
	conn, err := d.DialContext(t.Context(), "tcp", proxy.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, request)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// testJail has fail2ban read the jail and the filter together, without starting it.
func testJail(t *testing.T, path string) {
	lab.Need(t, lab.Needs{Programs: []string{"fail2ban-client"}})
	dir := filepath.Join(t.TempDir(), "fail2ban")
	run(t, "cp", "-r", "/etc/fail2ban", dir)
	others, err := filepath.Glob(dir + "/jail.d/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range others {
		os.Remove(other)
	}
	log := filepath.Join(t.TempDir(), "access.log")
	text := strings.ReplaceAll(read(t, path), "/var/log/sluice/access.log", log)
	for name, text := range map[string]string{
		log:                           "",
		dir + "/jail.d/sluice.conf":   text,
		dir + "/filter.d/sluice.conf": read(t, "fail2ban/filter.d/sluice.conf"),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := run(t, "fail2ban-client", "-c", dir, "-d")
	for _, want := range []string{"['add', 'sluice', ", "['set', 'sluice', 'addlogpath', '" + log, "['start', 'sluice']", "TCP_DENIED/403", "'maxretry', 30]", "3128,1080"} {
		if !strings.Contains(out, want) {
			t.Errorf("fail2ban does not say %q:\n%s", want, out)
		}
	}
}
