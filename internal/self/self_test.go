package self

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/lab/shell"
	"sluice/internal/presets"
	"sluice/internal/setup"
)

var client = netip.MustParseAddr("192.0.2.7")

func newPages(t testing.TB, rules ...acl.Rule) *Pages {
	t.Helper()
	policy, err := acl.New(rules, presets.Patterns)
	if err != nil {
		t.Fatal(err)
	}
	return &Pages{Policy: func() *acl.Policy { return policy }}
}

func ask(t testing.TB, p *Pages, path, accept string) forward.SelfAnswer {
	t.Helper()
	host, err := acl.ParseHost("relay.example.internal")
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	return p.Answer(forward.SelfRequest{Client: client, Host: host, Port: 3128, Path: path, Query: query, Accept: accept})
}

var dockerHosts = acl.Rule{Name: "docker-hosts", Action: acl.Allow, Clients: []string{"192.0.2.0/24", "198.51.100.77"}, To: []string{"@docker-hub", "*.example.com"}, Ports: []acl.PortRange{{First: 443, Last: 443}}}

func TestThePageTellsAClientWhatIsItsOwnAndNothingOfOthers(t *testing.T) {
	p := newPages(t,
		acl.Rule{Name: "no-secrets", Clients: []string{"192.0.2.7"}, To: []string{"vault.corp.example"}},
		dockerHosts,
		acl.Rule{Name: "theirs", Action: acl.Allow, Clients: []string{"203.0.113.5"}, To: []string{"elsewhere.example"}},
		acl.Rule{Name: "by-password", Action: acl.Allow, Clients: []string{"192.0.2.7"}, Users: []string{"ann"}, Ports: []acl.PortRange{{First: 8000, Last: 8099}}},
		acl.Rule{Name: "wherever", Action: acl.Allow, Users: []string{"eve"}, To: []string{"for-eve.example"}},
	)
	for _, accept := range []string{"", "text/html"} {
		got := string(ask(t, p, "/", accept).Body)
		for _, want := range []string{
			"192.0.2.7", "@docker-hub, *.example.com, port 443", "docker-hosts", "anywhere public, ports 8000-8099, with a user and a password", "no-secrets",
			"curl -fsS " + relay + "/setup/docker | sudo sh", "/proxy.pac", "You are asked for a user and a password",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("accepting %q: no %q in\n%s", accept, want, got)
			}
		}
		for _, secret := range []string{"198.51.100.77", "192.0.2.0", "203.0.113.5", "theirs", "elsewhere", "ann", "for-eve", "vault", "wherever"} {
			if strings.Contains(got, secret) {
				t.Errorf("accepting %q: %q in\n%s", accept, secret, got)
			}
		}
	}
}

func TestThePageIsHTMLForThoseWhoPreferIt(t *testing.T) {
	p := newPages(t, dockerHosts)
	for accept, want := range map[string]string{
		"":    plain,
		"*/*": plain,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": html,
		"text/plain":                    plain,
		"text/plain, text/html":         html,
		"text/plain, text/html;q=0.5":   plain,
		"text/html;q=0":                 plain,
		"TEXT/HTML":                     html,
		strings.Repeat("text/html,", 9): html,
		"text/html;q=;q==,;;,":          html,
	} {
		a := ask(t, p, "/", accept)
		if a.ContentType != want || a.Missing || strings.Contains(string(a.Body), "<!DOCTYPE html>") != (want == html) {
			t.Errorf("%q: %s\n%s", accept, a.ContentType, a.Body)
		}
	}
}

func TestThePathsOfTheProxyItself(t *testing.T) {
	p := newPages(t, dockerHosts)
	for path, x := range map[string]struct{ kind, says string }{
		"/setup":              {plain, "/setup/docker | sudo sh"},
		"/setup/":             {plain, "/setup/docker | sudo sh"},
		"/setup/docker":       {plain, "#!/bin/sh"},
		"/setup/docker?":      {plain, "#!/bin/sh"},
		"/proxy.pac":          {pacType, "FindProxyForURL"},
		"/proxy.pac?x":        {pacType, "FindProxyForURL"},
		"/setup/emacs":        {"", "no program of this name"},
		"/setup/docker?x":     {"", "The query may be"},
		"/setup/../docker":    {"", "no program of this name"},
		"/setup/docker/":      {"", "no program of this name"},
		"/setup/%64ocker":     {"", "no program of this name"},
		"/<script>":           {"", "nothing under this path"},
		"//evil.example/":     {"", "nothing under this path"},
		"/../../etc/passwd":   {"", "nothing under this path"},
		"/metrics":            {"", "nothing under this path"},
		"/" + "a\xff\"'`$(x)": {"", "nothing under this path"},
	} {
		a := ask(t, p, path, "")
		body := string(a.Body)
		if a.Missing != (x.kind == "") || x.kind != "" && a.ContentType != x.kind || !strings.Contains(body, x.says) {
			t.Errorf("%s: %v %s %.200q", path, a.Missing, a.ContentType, body)
		}
		if a.Missing && (a.ContentType != plain || strings.Count(body, "\n") != 1 || strings.Contains(body, "script>") || strings.Contains(body, "evil")) {
			t.Errorf("%s: %s %q", path, a.ContentType, body)
		}
	}
}

// Rules that are many, or have many names, are not all shown: an answer is bounded.
func TestAnswersAreBounded(t *testing.T) {
	long := dockerHosts
	long.To = nil
	for i := range 100_000 {
		long.To = append(long.To, fmt.Sprintf("host-%d.example.com", i))
	}
	var rules []acl.Rule
	for i := range 200 {
		r := long
		r.Name = fmt.Sprint("rule-", i)
		if i > 0 {
			r.To = long.To[:100]
		}
		rules = append(rules, r)
	}
	p := newPages(t, rules...)
	for _, path := range []string{"/", "/proxy.pac"} {
		a := ask(t, p, path, "")
		if len(a.Body) > 128<<10 {
			t.Errorf("%s has %d bytes", path, len(a.Body))
		}
	}
	if body := string(ask(t, p, "/", "").Body); !strings.Contains(body, "and 99960 more") || !strings.Contains(body, "what 150 more rules let you reach") {
		t.Errorf("nothing tells that more is left out:\n%.3000s", body)
	}
}

// The file is run by a JavaScript engine, as a browser would.
func TestAPACFileSendsTheProxyWhatItLetsThrough(t *testing.T) {
	shell.Need(t, "node")
	some := dockerHosts
	some.To = append(some.To, ".example.org", "203.0.113.0/24", "198.51.100.9", "Müller.example")
	for name, x := range map[string]struct {
		rule acl.Rule
		want map[string]string
	}{
		"some": {some, map[string]string{
			"registry-1.docker.io": "PROXY", "REGISTRY-1.DOCKER.IO": "PROXY", "registry-1.docker.io.": "PROXY", "docker.io.evil.example": "DIRECT",
			"a.example.com": "PROXY", "example.com": "DIRECT", "a.b.example.com": "PROXY", "notexample.com": "DIRECT",
			"example.org": "PROXY", "a.example.org": "PROXY", "203.0.113.9": "PROXY", "203.0.114.9": "DIRECT", "198.51.100.9": "PROXY",
			"xn--mller-kva.example": "PROXY", "localhost": "DIRECT", "10.1.2.3": "DIRECT", "intranet": "DIRECT",
		}},
		"everything": {acl.Rule{Name: "all", Action: acl.Allow, Clients: []string{"192.0.2.7"}}, map[string]string{
			"anything.example": "PROXY", "192.0.2.1": "PROXY", "2001:db8::1": "PROXY", "localhost": "DIRECT", "127.0.0.1": "DIRECT", "::1": "DIRECT",
			"172.16.3.4": "DIRECT", "172.32.0.1": "PROXY", "192.168.0.1": "DIRECT", "169.254.169.254": "DIRECT", "host.internal": "DIRECT", "printer.local": "DIRECT", "fd00::1": "DIRECT", "printer": "DIRECT",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "proxy.js")
			text := string(ask(t, newPages(t, x.rule), "/proxy.pac", "").Body)
			if err := os.WriteFile(file, []byte(text+"\nfor (const host of process.argv.slice(2)) console.log(FindProxyForURL('http://' + host + '/', host));\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{file}
			for host := range x.want {
				args = append(args, host)
			}
			out, err := exec.Command("node", args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			answers := strings.Split(strings.TrimSpace(string(out)), "\n")
			for i, host := range args[1:] {
				want := x.want[host]
				if want == "PROXY" {
					want = "PROXY relay.example.internal:3128"
				}
				if answers[i] != want {
					t.Errorf("%s goes by %q, not %q", host, answers[i], want)
				}
			}
		})
	}
}

func TestTheLineToTypeIsForSomebodyElse(t *testing.T) {
	allow := func(clients ...string) acl.Rule { return acl.Rule{Name: "allow", Action: acl.Allow, Clients: clients} }
	for name, x := range map[string]struct {
		rule acl.Rule
		want string // "": nobody
	}{
		"this machine alone": {allow("127.0.0.0/8", "::1"), ""},
		"nobody":             {acl.Rule{Name: "deny"}, ""},
		"users anywhere":     {acl.Rule{Name: "allow", Action: acl.Allow, Users: []string{"ann"}}, ""},
		"a client":           {allow("127.0.0.1", "192.0.2.7"), "192.0.2.7"},
		"a network":          {allow("2001:db8::/48"), "2001:db8::"},
		"everybody":          {allow("0.0.0.0/0"), "invalid IP"},
	} {
		got, ok := Somebody(newPages(t, x.rule).Policy())
		if ok != (x.want != "") || ok && got.String() != x.want {
			t.Errorf("%s: %s, %v", name, got, ok)
		}
	}
}

func TestAListenerIsReachedUnderAnAddressOfThisMachine(t *testing.T) {
	for listener, want := range map[string]string{
		"127.0.0.1:3128":     "",
		"[::1]:3128":         "",
		"192.0.2.1:3128":     "192.0.2.1:3128",
		"[2001:db8::1]:3128": "[2001:db8::1]:3128",
	} {
		got, ok := Reachable(netip.MustParseAddrPort(listener), client)
		if got != want || ok != (want != "") {
			t.Errorf("%s is reached at %q", listener, got)
		}
	}
	for _, listener := range []string{"[::]:3128", "0.0.0.0:3128"} {
		got, ok := Reachable(netip.MustParseAddrPort(listener), client)
		if !ok || !strings.HasSuffix(got, ":3128") || strings.HasPrefix(got, "127.") || strings.HasPrefix(got, "0.0.0.0") || strings.HasPrefix(got, "[::") {
			t.Errorf("%s is reached at %q", listener, got)
		}
		if _, err := setup.ParseProxy("http://" + got); err != nil {
			t.Errorf("%s is reached at %q: %v", listener, got, err)
		}
	}
	if got := Command("192.0.2.1:3128", "docker"); got != "curl -fsS http://192.0.2.1:3128/setup/docker | sudo sh" {
		t.Errorf("the line is %q", got)
	}
}
