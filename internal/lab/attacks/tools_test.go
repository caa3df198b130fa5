//go:build linux

package attacks

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// tool is one program by one form of proxy.
type tool struct {
	name, program string
	protocol      string // as records name it
	told          string // part of what a stranger is shown
	run           func(t *testing.T, b *bench, from *lab.Host) result
}

// get is a request for programs that bring no HTTP of their own.
const get = "GET /hello HTTP/1.0\r\nHost: " + site + "\r\nConnection: close\r\n\r\n"

// raw are tools of the kind that is handed a stream.
func raw(program string, args ...string) func(*testing.T, *bench, *lab.Host) result {
	return func(t *testing.T, b *bench, from *lab.Host) result {
		return run(t, from, get, program, b.fill(args)...)
	}
}

// fill puts the relay's listeners into arguments.
func (b *bench) fill(args []string) []string {
	names := strings.NewReplacer("$HTTP", b.addr(httpPort), "$SOCKS", b.addr(socksPort), "$RELAY", b.relay.Addr().String(), "$FAR", b.far.Addr().String(), "$CA", b.ca.File())
	filled := make([]string, len(args))
	for i, a := range args {
		filled[i] = names.Replace(a)
	}
	return filled
}

// chain runs curl under proxychains4, which takes its connects over by
// LD_PRELOAD, through one proxy.
func chain(proxy string) func(*testing.T, *bench, *lab.Host) result {
	return func(t *testing.T, b *bench, from *lab.Host) result {
		conf := write(t, "proxychains.conf", "strict_chain\nproxy_dns\n[ProxyList]\n"+b.fill([]string{proxy})[0]+"\n")
		return run(t, from, "", "proxychains4", "-f", conf, "curl", "-sS", "-m", "20", "http://"+site+"/hello")
	}
}

var tools = []tool{
	{"proxychains4 socks5", "proxychains4 curl", "socks5", "www.google.com:80 <--socket error or timeout!", chain("socks5 $RELAY 1080")},
	{"proxychains4 http", "proxychains4 curl", "connect", "denied", chain("http $RELAY 3128")},
	{"ncat http", "ncat", "connect", "Proxy returned status code 403", raw("ncat", "--proxy", "$HTTP", "--proxy-type", "http", site, "80")},
	{"ncat socks5, name looked up there", "ncat", "socks5", "connection not allowed by ruleset", raw("ncat", "--proxy", "$SOCKS", "--proxy-type", "socks5", "--proxy-dns", "remote", site, "80")},
	{"ncat socks5, name looked up here", "ncat", "socks5", "connection not allowed by ruleset", raw("ncat", "--proxy", "$SOCKS", "--proxy-type", "socks5", "--proxy-dns", "local", site, "80")},
	{"nc http", "nc.openbsd", "connect", "Proxy error", raw("nc.openbsd", "-X", "connect", "-x", "$HTTP", "-w", "20", site, "80")},
	{"nc socks5", "nc.openbsd", "socks5", "Connection not allowed by ruleset", raw("nc.openbsd", "-X", "5", "-x", "$SOCKS", "-w", "20", site, "80")},
	{"openssl s_client", "openssl", "connect", "403", raw("openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", "$CA", "-servername", site, "-proxy", "$HTTP", "-connect", site+":443")},
	{"curl proxy1.0", "curl", "connect", "403", raw("curl", "-sS", "-p", "--proxy1.0", "$HTTP", "http://"+site+"/hello")},
	{"curl http/1.0", "curl", "http", "no rule lets", raw("curl", "-sS", "--http1.0", "-x", "http://$HTTP", "http://"+site+"/hello")},
	{"curl that asks for h2c", "curl", "http", "no rule lets", raw("curl", "-sS", "--http2", "-x", "http://$HTTP", "http://"+site+"/hello")},
	{"curl that guesses HTTP/2", "curl", "connect", "403", raw("curl", "-sS", "--http2", "--cacert", "$CA", "-x", "http://$HTTP", "https://"+site+"/hello")},
	{"curl through both", "curl", "connect", "Can't complete SOCKS5 connection to 198.18.1.1. (2)", raw("curl", "-sS", "-p", "--preproxy", "socks5h://$SOCKS", "-x", "http://$FAR:80", "http://"+site+"/hello")},
	{"curl socks5 by address", "curl", "socks5", "Can't complete SOCKS5 connection to 198.18.1.1. (2)", raw("curl", "-sS", "-x", "socks5://$SOCKS", "http://$FAR/hello")},
}

// TestToolsReachTheOrigin sends each tool from the client that is admitted: it
// gets what the origin sends.
func TestToolsReachTheOrigin(t *testing.T) {
	b := newBench(t, "")
	for _, tool := range tools {
		if tool.name == "curl through both" {
			continue // the origin is no proxy; here it is the refusal that counts
		}
		t.Run(tool.name, func(t *testing.T) {
			lab.Need(t, lab.Needs{Programs: strings.Fields(tool.program)})
			seen := len(b.sluice.Records())
			r := tool.run(t, b, b.user)
			if !strings.HasSuffix(r.out, greeting) {
				t.Fatalf("no greeting: %s", r)
			}
			b.wantRecords(t, seen, 1, map[string]string{"protocol": tool.protocol, "outcome": "ok", "rule": "lab", "client": b.user.Addr().String()})
		})
	}
}

// TestToolsOfAStrangerReachNothing sends each from a client that is in no rule.
func TestToolsOfAStrangerReachNothing(t *testing.T) {
	b := newBench(t, "")
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			lab.Need(t, lab.Needs{Programs: strings.Fields(tool.program)})
			seen := len(b.sluice.Records())
			r := tool.run(t, b, b.stranger)
			if strings.Contains(r.out+r.err, greeting) || !strings.Contains(strings.ToLower(r.out+r.err), strings.ToLower(tool.told)) {
				t.Errorf("it does not say %q: %s", tool.told, r)
			}
			b.wantRecords(t, seen, 1, map[string]string{"outcome": "rule_denied", "client": b.stranger.Addr().String(), "tries": ""})
		})
	}
	if n := b.origin.Accepts(); n > 0 {
		t.Errorf("the origin was connected to %d times", n)
	}
}

// TestWhatIsNotServedIsRefused sends a client that is admitted by forms that the
// proxy does not serve.
func TestWhatIsNotServedIsRefused(t *testing.T) {
	b := newBench(t, "", "curl")
	for _, x := range []struct {
		name, reason string
		args         []string
	}{
		{"SOCKS4", "SOCKS4 is not served, SOCKS5 is", []string{"-x", "socks4://$SOCKS"}},
		{"SOCKS4 on the port of HTTP", "SOCKS4 is not served, SOCKS5 is", []string{"-x", "socks4://$HTTP"}},
		{"SOCKS4a", "SOCKS4 is not served, SOCKS5 is", []string{"-x", "socks4a://$SOCKS"}},
		{"HTTP on the port of SOCKS5", "not a SOCKS5 request", []string{"-x", "http://$SOCKS"}},
		{"TLS", "the client began with TLS", []string{"-x", "https://$HTTP"}},
		{"a web server", "this is a forward proxy and not a web server", []string{"--connect-to", "::$HTTP", "-d", "a form"}},
		{"a PROXY header", "", []string{"--haproxy-protocol", "--connect-to", "::$HTTP"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			seen := len(b.sluice.Records())
			r := run(t, b.user, "", "curl", append([]string{"-sS", "-m", "20", "http://" + site + "/hello"}, b.fill(x.args)...)...)
			if strings.Contains(r.out, greeting) {
				t.Errorf("it was served: %s", r)
			}
			for _, rec := range b.wantRecords(t, seen, 1, map[string]string{"outcome": "malformed", "client": b.user.Addr().String()}) {
				if !strings.Contains(rec.String("reason"), x.reason) {
					t.Errorf("reason %q, want %q", rec.String("reason"), x.reason)
				}
			}
		})
	}
	if n := b.origin.Accepts(); n > 0 {
		t.Errorf("the origin was connected to %d times", n)
	}
}

// TestToolsWithAPassword sends the member's tools with a right and a wrong one.
func TestToolsWithAPassword(t *testing.T) {
	b := newBench(t, "")
	for _, x := range []struct {
		program  string
		protocol string
		args     []string
	}{
		{"ncat", "connect", []string{"--proxy", "$HTTP", "--proxy-type", "http", "--proxy-auth", "$LOGIN", site, "80"}},
		{"ncat", "socks5", []string{"--proxy", "$SOCKS", "--proxy-type", "socks5", "--proxy-dns", "remote", "--proxy-auth", "$LOGIN", site, "80"}},
		{"curl", "http", []string{"-sS", "-x", "http://$LOGIN@$HTTP", "http://" + site + "/hello"}},
		{"curl", "connect", []string{"-sS", "-p", "-x", "http://$LOGIN@$HTTP", "http://" + site + "/hello"}},
		{"curl", "socks5", []string{"-sS", "-x", "socks5h://$LOGIN@$SOCKS", "http://" + site + "/hello"}},
	} {
		t.Run(x.program+" "+x.protocol, func(t *testing.T) {
			lab.Need(t, lab.Needs{Programs: []string{x.program}})
			for _, word := range []string{password, "guess"} {
				seen := len(b.sluice.Records())
				args := b.fill(strings.Split(strings.ReplaceAll(strings.Join(x.args, "\n"), "$LOGIN", member+":"+word), "\n"))
				r := run(t, b.member, get, x.program, args...)
				right := word == password
				if strings.HasSuffix(r.out, greeting) != right {
					t.Errorf("with the password %q: %s", word, r)
				}
				outcome := map[bool]string{true: "ok", false: "auth_required"}[right]
				for _, rec := range b.wantRecords(t, seen, 1, map[string]string{"outcome": outcome, "protocol": x.protocol}) {
					if text := fmt.Sprint(rec); strings.Contains(text, word) {
						t.Errorf("the password stands in the record: %s", text)
					}
				}
			}
		})
	}
}
