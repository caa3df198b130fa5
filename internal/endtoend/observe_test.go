//go:build linux

package endtoend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// greeter answers whoever connects and closes.
func greeter(c *net.TCPConn) {
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
	c.CloseWrite()
	io.Copy(io.Discard, c)
}

// ask sends a request, reads all that comes back, and takes the record.
func (s *served) ask(w way, r request) (answer string, left record) {
	s.t.Helper()
	answer = s.told(w, r)
	return answer, s.record()
}

// told sends a request and reads all that comes back.
func (s *served) told(w way, r request) string {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	io.WriteString(c, w.bytes(r))
	b, _ := io.ReadAll(c)
	return string(b)
}

// lines waits until the access log has that many lines.
func (s *served) lines(n int) {
	s.t.Helper()
	eventually(s.t, "a line in the log", func() bool { return strings.Count(s.log.String(), "\n") >= n })
}

func TestObserveModeLetsPassWhatTheRulesWouldRefuse(t *testing.T) {
	origin := play(t, greeter).String()
	const here, inside = "\nallow_private = [\"127.0.0.1\"]\n", "169.254.169.254:80"
	named := "[[rule]]\nname = \"all\"\naction = \"allow\"\nclients = [\"127.0.0.0/8\"]\nto = [\"elsewhere.test\"]\n"
	staff := named + "users = [\"ann\"]\n" + ann
	others := strings.Replace(named, "127.0.0.0/8", "192.0.2.0/24", 1)
	const top, rule = "mode = \"observe\"\n", "[[rule]]\nname = \"trial\"\naction = \"deny\"\nmode = \"observe\"\nclients = [\"127.0.0.1\"]\nports = [\"1-65535\"]\n"
	for _, w := range ways {
		for name, c := range map[string]struct {
			top, file, to, login string
			want                 record
			reason               string
		}{
			"no rule":           {top, named, origin, "", record{"decision": "observe", "outcome": "ok"}, "would be refused: no rule lets 127.0.0.1 reach " + origin + "; rule all admits this client, but not to that host"},
			"no credentials":    {top, staff + "[[rule]]\nname = \"any\"\naction = \"allow\"\nusers = [\"ann\"]\nports = [\"1-65535\"]\n", origin, "", record{"decision": "observe", "outcome": "ok"}, "would be refused: 127.0.0.1 needs a user and a password to reach " + origin},
			"a wrong password":  {top, staff, origin, "ann:guess", record{"outcome": "auth_required"}, "the user or the password is wrong"},
			"a right password":  {top, staff, origin, "ann:secret", record{"decision": "observe", "outcome": "ok", "user": "ann"}, "would be refused: no rule lets ann at 127.0.0.1 reach "},
			"metadata":          {top, named, inside, "", record{"decision": "deny", "outcome": "address_not_public"}, "169.254.169.254 is not a public address"},
			"a stranger":        {top, others, origin, "", record{"decision": "deny", "outcome": "rule_denied"}, "no rule lets 127.0.0.1 reach " + origin},
			"a rule on trial":   {"", rule + named, origin, "", record{"decision": "observe", "outcome": "ok", "rule": "trial"}, "would be refused: rule trial denies " + origin + " to 127.0.0.1"},
			"metadata on trial": {"", rule + named, inside, "", record{"decision": "deny", "outcome": "address_not_public"}, "169.254.169.254 is not a public address"},
		} {
			t.Run(fmt.Sprint(w, "/", name), func(t *testing.T) {
				s := serveWith(t, c.top, c.file+"[egress]"+here)
				answer, r := s.ask(w, request{to: c.to, login: c.login, lines: "Connection: close\r\n"})
				if passed := strings.HasSuffix(answer, "\r\n\r\nhi"); passed != (c.want["outcome"] == "ok") {
					t.Errorf("answered %q", answer)
				}
				for field, want := range c.want {
					if r.text(field) != want {
						t.Errorf("%s is %q, not %q", field, r.text(field), want)
					}
				}
				if !strings.HasPrefix(r.text("reason"), c.reason) {
					t.Errorf("reason %q, not %q", r.text("reason"), c.reason)
				}
			})
		}
	}
}

// What is not a matter of rules is refused as ever.
func TestObserveModeKeepsLimitsAndReadsStrictly(t *testing.T) {
	origin := play(t, greeter).String()
	s := serveWith(t, "mode = \"observe\"\n", "[[rule]]\nname = \"all\"\naction = \"allow\"\nclients = [\"127.0.0.0/8\"]\nto = [\"elsewhere.test\"]\n"+
		"[egress]\nallow_private = [\"127.0.0.1\"]\n[limits]\nnew_tunnels = \"1/m\"\n")
	if _, r := s.ask(connect, request{to: origin}); r.text("outcome") != "ok" || r.text("decision") != "observe" {
		t.Errorf("the first: %v", r)
	}
	if _, r := s.ask(connect, request{to: origin}); r.text("outcome") != "client_limit" || r.text("status") != "429" || r.text("decision") != "observe" {
		t.Errorf("the second within a minute: %v", r)
	}
	if _, r := s.ask(connect, request{to: origin, lines: "Content-Length: 5\r\n"}); r.text("outcome") != "malformed" || r.text("decision") != "" {
		t.Errorf("a CONNECT with a body: %v", r)
	}
	if _, r := s.ask(connect, request{to: s.addr.String()}); r.text("outcome") == "ok" {
		t.Errorf("a loop: %v", r)
	}
}
