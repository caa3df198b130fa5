package doctor

import (
	"strings"
	"testing"
)

func TestNoProxyTraps(t *testing.T) {
	hosts := []string{"registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com"}
	for _, test := range []struct {
		list  string
		level Level
		words string // "": nothing to say
	}{
		{"", "", ""},
		{"localhost,127.0.0.1,.example.internal,192.0.2.7", "", ""},
		{"10.0.0.0/8", Remark, "10.0.0.0/8 matches addresses that are asked for as such, and no name"},
		{"10.0.0.0/33", Caution, "is no network"},
		{"https://example.com", Caution, "an entry has no scheme"},
		{"localhost 127.0.0.1", Caution, "entries are separated by commas"},
		{"localhost, example.com", Remark, "a space in front of example.com"},
		{"*", Bad, "exempts every host"},
		{"*.example.com", Caution, "not understood by every program: .example.com is"},
		{"*example.com", Caution, "matches nothing"},
		{"*.docker.com", Bad, "*.docker.com exempts production.cloudflare.docker.com"},
		{"docker.io", Bad, "docker.io exempts registry-1.docker.io and 1 more"},
		{"registry-1.docker.io:443", Bad, "exempts registry-1.docker.io"},
		{"relay.example.internal", Remark, "is the proxy itself"},
	} {
		facts := traps("NO_PROXY", test.list, hosts, "relay.example.internal")
		switch {
		case test.words == "" && len(facts) > 0:
			t.Errorf("%q: %v, want nothing", test.list, facts)
		case test.words == "":
		case len(facts) != 1 || facts[0].Level != test.level || !strings.Contains(facts[0].Sentence, test.words):
			t.Errorf("%q: %v, want one of level %s: %s", test.list, facts, test.level, test.words)
		}
	}
}
