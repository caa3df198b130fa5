//go:build linux

package attacks

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// scan runs scripts of nmap against the relay's two ports.
func (b *bench) scan(t *testing.T, from *lab.Host, scripts string, more ...string) string {
	t.Helper()
	args := []string{"-Pn", "-sT", "-n", "--dns-servers", "198.18.0.53", "--script-timeout", "30s",
		"-p", fmt.Sprintf("%d,%d", httpPort, socksPort), "--script", scripts}
	r := run(t, from, "", "nmap", append(append(args, more...), b.relay.Addr().String())...)
	for _, port := range []int{httpPort, socksPort} {
		if !r.ok || !strings.Contains(r.out, fmt.Sprintf("%d/tcp open", port)) {
			t.Fatalf("the port %d was not scanned: %s", port, r)
		}
	}
	return r.out
}

// TestScansForOpenProxies lets nmap look for one, by its own list of sites and by
// a site that it is given. Only who is admitted finds one.
func TestScansForOpenProxies(t *testing.T) {
	b := newBench(t, "", "nmap")
	const scripts = "http-open-proxy,socks-open-proxy"
	given := []string{"--script-args", "proxy.url=http://" + site + "/hello,proxy.pattern=weir"}
	for name, more := range map[string][]string{"nmap's sites": nil, "a site with a pattern": given} {
		t.Run(name, func(t *testing.T) {
			seen := len(b.sluice.Records())
			for who, from := range map[string]*lab.Host{"a stranger": b.stranger, "a member without a password": b.member} {
				out := b.scan(t, from, scripts, more...)
				if strings.Contains(out, "open-proxy") || strings.Contains(out, "OPEN proxy") {
					t.Errorf("%s found an open proxy:\n%s", who, out)
				}
			}
			b.wantRecords(t, seen, 2, map[string]string{"outcome": "rule_denied", "protocol": "http", "client": b.stranger.Addr().String()})
			b.wantRecords(t, seen, 1, map[string]string{"outcome": "rule_denied", "protocol": "connect", "client": b.stranger.Addr().String()})
			b.wantRecords(t, seen, 1, map[string]string{"outcome": "rule_denied", "protocol": "socks5", "client": b.stranger.Addr().String()})
			b.wantRecords(t, seen, 1, map[string]string{"outcome": "auth_required", "client": b.member.Addr().String()})
			if n := b.origin.Accepts(); n > 0 {
				t.Errorf("the origin was connected to %d times", n)
			}
		})
	}
	for name, more := range map[string][]string{"nmap's sites": nil, "a site with a pattern": given} {
		t.Run(name+", admitted", func(t *testing.T) {
			out := b.scan(t, b.user, scripts, more...)
			for _, want := range []string{"Potentially OPEN proxy", "Methods supported: GET HEAD CONNECTION", "socks-open-proxy:", "status: open", "socks5"} {
				if name != "nmap's sites" {
					want = strings.ReplaceAll(want, " HEAD", "") // which has no body for the pattern
				}
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
			if strings.Contains(out, "socks4") {
				t.Errorf("SOCKS4 is said to work:\n%s", out)
			}
		})
	}
}

// TestScansForPasswords lets nmap ask for the ways to log in, and try a list of
// passwords.
func TestScansForPasswords(t *testing.T) {
	b := newBench(t, "", "nmap")
	for _, x := range []struct {
		from      *lab.Host
		has, lack string
	}{
		{b.user, "No authentication", "Username and password"},
		{b.member, "Username and password", "GSSAPI"},
	} {
		out := b.scan(t, x.from, "socks-auth-info")
		if !strings.Contains(out, x.has) || strings.Contains(out, x.lack) {
			t.Errorf("%s is told:\n%s", x.from.Name(), out)
		}
	}
	users := write(t, "users", "root\nadmin\n"+member+"\n")
	for _, words := range []string{"guess\n123456\n", "guess\n" + password + "\n"} {
		found := strings.Contains(words, password)
		out := b.scan(t, b.member, "socks-brute", "--script-args", "userdb="+users+",passdb="+write(t, "words", words))
		if strings.Contains(out, member+":"+password+" - Valid credentials") != found || !strings.Contains(out, "Performed") {
			t.Errorf("with the words %q, nmap says:\n%s", words, out)
		}
	}
}
