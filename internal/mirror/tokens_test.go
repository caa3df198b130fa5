package mirror

import (
	"net/netip"
	"net/url"
	"testing"

	"sluice/acl"
	"sluice/internal/mirror/settings"
)

func TestAServerOfTokensIsReachedAtTheRegistryItselfOrByARule(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	policy, err := acl.New([]acl.Rule{{Name: "tokens", Action: acl.Allow, Clients: []string{"192.0.2.7"}, To: []string{"auth.docker.io"}, Ports: []acl.PortRange{{First: 443, Last: 443}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &force{
		cfg: &settings.Config{Transparent: &settings.Transparent{Policy: policy}},
		registries: []registry{
			{settings: settings.Upstream{Name: "docker.io", URL: parse("https://registry-1.docker.io")}},
			{settings: settings.Upstream{Name: "ghcr.io", URL: parse("https://ghcr.io")}},
			{settings: settings.Upstream{Name: "reg.example:5000", URL: parse("https://reg.example:5000")}},
		},
	}
	for _, c := range []struct {
		client, registry, realm string
		want                    bool
	}{
		{"192.0.2.7", "docker.io", "https://auth.docker.io/token", true},
		{"192.0.2.7", "docker.io", "https://auth.docker.io:443/token", true},
		{"192.0.2.7", "docker.io", "https://auth.docker.io:8443/token", false},
		{"192.0.2.8", "docker.io", "https://auth.docker.io/token", false},
		{"192.0.2.8", "ghcr.io", "https://ghcr.io/token", true},
		{"192.0.2.8", "docker.io", "https://ghcr.io/token", false}, // another registry's
		{"192.0.2.8", "ghcr.io", "https://ghcr.io:8443/token", false},
		{"192.0.2.8", "reg.example:5000", "https://reg.example:5000/token", false}, // it passes nothing on: its tunnel is to another port than 443
		{"192.0.2.7", "docker.io", "https://auth.docker.io.evil.example/token", false},
		{"192.0.2.7", "docker.io", "https://auth.docker.io:0/token", false},
		{"192.0.2.7", "docker.io", "https:///token", false},
	} {
		if got := f.reaches(netip.MustParseAddr(c.client), c.registry, parse(c.realm)); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
