package admin_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/egress"
	"sluice/internal/explain"
	"sluice/internal/server"
)

func TestWhatIsInForceIsToldWithoutPasswords(t *testing.T) {
	const hash = "$2y$10$WFhbh4zYnLk8Q7hXqDYhKeWzC0yYCvB5V3yTQqYq3J9x1h5Qm6R2C"
	p := serve(t, base+"[[user]]\nname = \"ann\"\npassword = \""+hash+"\"\n")
	resp, body := p.ask("GET", "/config")
	if resp.StatusCode != http.StatusOK || strings.Contains(body, hash[7:]) {
		t.Fatalf("%s, %s", resp.Status, body)
	}
	got := parse(t, body)
	if users := list(got, "user"); len(users) != 1 || users[0]["password"] != "***" || users[0]["name"] != "ann" {
		t.Errorf("users %v", users)
	}
	listening := fmt.Sprint(got["listening"])
	for _, a := range []string{p.addrs[0], p.admin} {
		if !strings.Contains(listening, a) {
			t.Errorf("listening is %s, without %s", listening, a)
		}
	}
	loaded, err := time.Parse(time.RFC3339, got["loaded"].(string))
	if err != nil || got["path"] != "test.toml" || time.Since(loaded) > time.Hour {
		t.Errorf("loaded %v from %v", got["loaded"], got["path"])
	}
	for _, key := range []string{"max_tunnels", "max_handshakes"} {
		if n, _ := got["server"].(object)[key].(float64); n < 1 {
			t.Errorf("%s is %v, not what the machine has set", key, n)
		}
	}
}

func TestTheAnswerOfExplainIsThatOfTheCommand(t *testing.T) {
	file := base + "[[rule]]\nname = \"late\"\naction = \"deny\"\nto = [\"bad.example\"]\n"
	p := serve(t, file)
	cfg, err := config.Parse("test.toml", []byte(file), config.Flags{}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range [][3]string{
		{"127.0.0.1", "example.com:443"}, {"::ffff:127.0.0.1", "EXAMPLE.com.:443"}, {"127.0.0.1", "10.0.0.1:80"},
		{"127.0.0.1", "169.254.169.254:80"}, {"127.0.0.1", "0xa9fea9fe:80"}, {"192.0.2.7", "bad.example:443"}, {"192.0.2.7", "example.com:22"},
	} {
		req, err := explain.Question(q[0], q[1], "")
		if err != nil {
			t.Fatal(err)
		}
		want := explain.Explain(cfg.Policy, func(a netip.AddrPort) *egress.Error { return server.Refuses(cfg, a) }, req)
		got := p.get("/explain?client=" + escaped(q[0]) + "&to=" + escaped(q[1]))
		if got["allowed"] != want.Allowed || got["rule"] != want.Rule || got["sentence"] != want.Sentence || len(list(got, "steps")) != len(want.Steps) {
			t.Errorf("%v: %v, want %+v", q, got, want)
		}
		for i, s := range list(got, "steps") {
			w := want.Steps[i]
			if s["rule"] != w.Rule || s["action"] != w.Action.String() || s["matched"] != w.Matched || s["why"] != w.Why {
				t.Errorf("%v: step %v, want %+v", q, s, w)
			}
		}
	}
	// The proxy itself is a destination that only the running one knows.
	if got := p.get("/explain?client=127.0.0.1&to=" + p.admin); got["allowed"] != false {
		t.Errorf("its own address: %v", got)
	}
}

func TestTheLatestRefusalsAreKeptAndNoMore(t *testing.T) {
	p := serve(t, base)
	for i := range 260 {
		c, _ := p.attempt(fmt.Sprintf("10.0.%d.%d:80", i/200, i%200))
		c.Close()
		if i < 5 || i > 250 { // in between, those that end at the same time have no order
			eventually(t, "not all are recorded", func() bool { return len(p.records("outcome", "address_not_public")) == i+1 })
		}
	}
	refusals := list(p.get("/refusals"), "refusals")
	if len(refusals) != 256 {
		t.Fatalf("%d refusals", len(refusals))
	}
	if first, last := refusals[0]["host"], refusals[255]["host"]; first != "10.0.1.59" || last != "10.0.0.4" {
		t.Errorf("from %v to %v", first, last)
	}
	for _, name := range []string{"time", "status", "reason", "client", "rule"} {
		if refusals[0][name] == nil {
			t.Errorf("no %s in %v", name, refusals[0])
		}
	}
	w := p.watch()
	if n := len(list(w.event("start"), "refusals")); n != 100 {
		t.Errorf("a start tells %d", n)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	p := serve(t, strings.Replace(base, `drain = "0s"`, `drain = "1m"`, 1))
	c := p.connect(echo(t))
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, body := p.ask("GET", path); resp.StatusCode != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %s, %q", path, resp.Status, body)
		}
	}
	w := p.watch()
	if w.event("start")["draining"] != false {
		t.Error("draining at the start")
	}
	stopped := make(chan struct{})
	go func() { p.drain(); close(stopped) }()
	w.until("no word of the drain", func(o object) bool { return o["draining"] == true })
	if resp, body := p.ask("GET", "/readyz"); resp.StatusCode != http.StatusServiceUnavailable || body != "draining\n" {
		t.Errorf("in a drain: %s, %q", resp.Status, body)
	}
	if resp, body := p.ask("POST", "/reload"); resp.StatusCode != http.StatusConflict || !strings.Contains(body, "shutting down") {
		t.Errorf("a reload in a drain: %s, %s", resp.Status, body)
	}
	if resp, _ := p.ask("GET", "/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("in a drain: %s", resp.Status)
	}
	c.Close()
	<-stopped
	if _, _, err := w.next(); err == nil {
		w.conn.SetReadDeadline(time.Now().Add(patience))
		for err == nil {
			_, _, err = w.next()
		}
		if strings.Contains(err.Error(), "timeout") {
			t.Errorf("events go on behind the end: %v", err)
		}
	}
}
