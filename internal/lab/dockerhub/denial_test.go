//go:build linux

package dockerhub

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

func TestDockerPrintsTheSentenceOfADenial(t *testing.T) {
	s := newStory(t, "the denied pull")
	allowed := []string{"--allow", s.blocked.Prefix().String(), "--to", RegistryName, "--to", AuthName}
	file := filepath.Join(s.net.Dir(), "no-cdn.toml")
	text := fmt.Sprintf(`
[[rule]]
name    = "no-cdn"
action  = "deny"
clients = [%q]
to      = [%q]

[[rule]]
name    = "docker-hosts"
action  = "allow"
clients = [%q]
`, s.blocked.Addr(), BlobName, s.blocked.Addr())
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	who, where := s.blocked.Addr().String(), BlobName+":443"
	for _, c := range []struct {
		name     string
		args     []string
		sentence string
	}{
		{"no rule lets it", allowed, fmt.Sprintf("sluice: no rule lets %s reach %s; rule command-line admits this client, but not to that host; "+
			"preset @docker-hub has it, and %s, which this client reached within the last minute, may have redirected it there", who, where, RegistryName)},
		{"a rule denies it", []string{"--config", file}, fmt.Sprintf("sluice: rule no-cdn denies %s to %s", where, who)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.sluice(t, c.args...)
			out, err := s.docker(t, proxied(p, "http")...).Docker(t, "pull", "hello-world")
			if err == nil || !strings.Contains(out, c.sentence) {
				t.Errorf("docker pull ends with %v, want %q in:\n%s", err, c.sentence, out)
			}
			record := p.WaitRecord(t, s.toCDN)
			if !record.Has(map[string]string{"decision": "deny", "status": "403", "address": ""}) ||
				!strings.Contains(record.String("reason"), strings.TrimPrefix(c.sentence, "sluice: ")) {
				t.Errorf("the record is %v", record)
			}
		})
	}
	if got := s.hub.Blobs.Accepts(); got != 0 {
		t.Errorf("the CDN has accepted %d connections", got)
	}
}

// strangers is a lab of a client that the rules admit, one that they do not
// know, and an origin whose name only a name server knows.
type strangers struct {
	relay, known, stranger, origin *lab.Host
	server                         *lab.Origin
	dns                            *lab.DNS
	proxy                          *lab.Proxy
}

const hiddenName = "origin.example"

func newStrangers(t *testing.T) *strangers {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"curl"}, Part: "the client that no rule admits"})
	n := lab.New(t)
	s := &strangers{
		relay:    n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15")),
		known:    n.Host(t, "known", netip.MustParsePrefix("198.18.0.10/15")),
		stranger: n.Host(t, "stranger", netip.MustParsePrefix("198.18.0.66/15")),
		origin:   n.Host(t, "origin", netip.MustParsePrefix("198.18.3.1/15")),
	}
	s.dns = n.ServeDNS(t, n.Host(t, "ns", netip.MustParsePrefix("198.18.3.53/15")))
	s.dns.Name(hiddenName, s.origin.Addr())
	s.server = lab.ServeHTTP(t, s.origin, ":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "reached")
	}))
	s.proxy = lab.StartSluice(t, s.relay, "--allow", s.known.Prefix().String(), "--allow-private", lab.Range)
	return s
}

// segments counts the TCP segments that have arrived at the origin.
func (s *strangers) segments(t *testing.T) string {
	t.Helper()
	return s.origin.Output(t, "awk", "/^Tcp:/ && $2 ~ /[0-9]/ {print $11}", "/proc/net/snmp")
}

func TestAClientThatNoRuleAdmitsIsRefusedAndNothingIsDialled(t *testing.T) {
	s := newStrangers(t)
	sentence := fmt.Sprintf("sluice: no rule lets %s reach %s:80", s.stranger.Addr(), hiddenName)
	before := s.segments(t)
	t.Run("CONNECT", func(t *testing.T) {
		out := s.curl(t, s.stranger, "--proxytunnel", "--proxy", s.proxy.URL("http"))
		if !strings.Contains(out, "< HTTP/1.1 403 "+sentence) {
			t.Errorf("curl is answered:\n%s", out)
		}
	})
	t.Run("absolute form", func(t *testing.T) {
		out := s.curl(t, s.stranger, "--proxy", s.proxy.URL("http"))
		if !strings.Contains(out, "< HTTP/1.1 403 "+sentence) {
			t.Errorf("curl is answered:\n%s", out)
		}
	})
	t.Run("SOCKS5", func(t *testing.T) {
		if got := s.socksReply(t, s.stranger); got != 0x02 {
			t.Errorf("the reply is %#02x, want 0x02", got)
		}
	})
	if got := s.segments(t); got != before {
		t.Errorf("the origin has received %s TCP segments, %s before", got, before)
	}
	if got := s.server.Accepts(); got != 0 {
		t.Errorf("the origin has accepted %d connections", got)
	}
	if got := s.dns.Queries(); len(got) != 0 {
		t.Errorf("names were looked up for a client that no rule admits: %v", got)
	}
	denied := s.proxy.WaitRecords(t, 3, func(r lab.Record) bool {
		return r.Has(map[string]string{"client": s.stranger.Addr().String(), "decision": "deny", "tries": "", "address": ""})
	})
	if len(denied) != 3 {
		t.Errorf("records of %d denials: %v", len(denied), denied)
	}
}

// The same three ways from the host that a rule admits, so that the test above
// is known to watch the right counters.
func TestAClientThatARuleAdmitsIsSeenByTheSameCounters(t *testing.T) {
	s := newStrangers(t)
	before := s.segments(t)
	for _, way := range [][]string{{"--proxytunnel", "--proxy", s.proxy.URL("http")}, {"--proxy", s.proxy.URL("http")}} {
		if out := s.curl(t, s.known, way...); !strings.Contains(out, "reached") {
			t.Errorf("curl %v:\n%s", way, out)
		}
	}
	if got := s.socksReply(t, s.known); got != 0 {
		t.Errorf("the SOCKS reply is %#02x, want success", got)
	}
	if s.segments(t) == before || s.server.Accepts() == 0 || len(s.dns.Queries()) == 0 {
		t.Errorf("segments %s, accepts %d, look-ups %v", s.segments(t), s.server.Accepts(), s.dns.Queries())
	}
}

// curl asks for the origin and returns the dialogue; its exit is not looked at.
func (s *strangers) curl(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	args = append([]string{"--silent", "--verbose", "--max-time", "20"}, args...)
	out, _ := h.Command(t.Context(), "curl", append(args, "http://"+hiddenName+"/")...).CombinedOutput()
	return string(out)
}

// socksReply asks the proxy for the origin by name, with no authentication, and
// returns the reply field (RFC 1928, section 6).
func (s *strangers) socksReply(t *testing.T, h *lab.Host) byte {
	t.Helper()
	c := h.Dial(t, "tcp", s.proxy.Addr().String())
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	hello := []byte{5, 1, 0}
	request := binary.BigEndian.AppendUint16(append([]byte{5, 1, 0, 3, byte(len(hiddenName))}, hiddenName...), 80)
	answer := make([]byte, 4)
	for _, step := range []struct{ send, receive []byte }{{hello, answer[:2]}, {request, answer}} {
		if _, err := c.Write(step.send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, step.receive); err != nil {
			t.Fatal(err)
		}
	}
	return answer[1]
}
