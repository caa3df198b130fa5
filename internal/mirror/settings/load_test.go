package settings

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/acl"

	"sluice/internal/mirror/access"
)

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// standard is what holds without file and flags.
func standard(t *testing.T) *Config {
	return &Config{
		Listeners: []Listener{{Address: "127.0.0.1:5000"}},
		Upstreams: []Upstream{{Name: "docker.io", Aliases: []string{"index.docker.io", "registry-1.docker.io"}, URL: parseURL(t, "https://registry-1.docker.io"), Default: true, TagTTL: time.Minute}},
		Cache:     Cache{Directory: "/var/lib/sluice-mirror", MaxSize: 20e9, TagTTL: time.Minute},
		Rules:     []access.Rule{{Rule: acl.Rule{Name: "loopback", Action: acl.Allow, Clients: []string{"127.0.0.0/8", "::1"}}}},
		Authority: "/var/lib/sluice-mirror/authority",
		Timeouts:  Timeouts{Handshake: 10 * time.Second, Dial: 10 * time.Second, Idle: time.Minute},
		Limits:    Limits{Connections: 256},
		Server:    Server{Drain: 8 * time.Second},
		Log:       Log{Level: "info", Format: "json", Access: "stdout"},
		Admin:     "127.0.0.1:5001",
	}
}

func diff(want, got *Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "Warnings"), cmpopts.IgnoreFields(Transparent{}, "Policy"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{}))
}

func mustParse(t *testing.T, text string, f Flags) *Config {
	t.Helper()
	c, err := Parse("mirror.toml", []byte(text), f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func warnings(c *Config) []string {
	var list []string
	for _, w := range c.Warnings {
		list = append(list, w.String())
	}
	return list
}

func TestWithoutFileAndFlagsThisMachineAloneMayPullFromDockerHub(t *testing.T) {
	c, err := load(Flags{}, filepath.Join(t.TempDir(), "mirror.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(standard(t), c); d != "" {
		t.Error(d)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", warnings(c))
	}
}

func TestAFileWithoutRulesLetsNobodyPull(t *testing.T) {
	c := mustParse(t, "", Flags{})
	if len(c.Rules) > 0 || !slices.Equal(warnings(c), []string{"mirror.toml: there is no rule, so nobody may pull; add a [[rule]]"}) {
		t.Errorf("rules %v, warnings %q", c.Rules, warnings(c))
	}
}
