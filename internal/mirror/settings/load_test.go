package settings

import (
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/acl"
	"sluice/internal/config/sections"

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
	return cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "Warnings"), cmpopts.IgnoreFields(Transparent{}, "Policy"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{}),
		cmp.Comparer(func(a, b url.URL) bool { return a.String() == b.String() }))
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
	c, err := load(Flags{}, filepath.Join(t.TempDir(), "mirror.toml"), false)
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

func TestEveryKeyOfAFileIsTaken(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Path: "mirror.toml",
		Open: true,
		Listeners: []Listener{
			{Address: "192.0.2.1:443", TLS: TLSFiles, Certificate: "/etc/sluice/mirror.pem", Key: "/etc/sluice/mirror.key", Login: true},
			{Address: ":5443", TLS: TLSSelf, Names: []string{"mirror.example.com", "192.0.2.1"}},
			{Address: "[::1]:5000"},
		},
		Upstreams: []Upstream{
			{
				Name: "docker.io", Aliases: []string{"index.docker.io", "registry-1.docker.io"}, URL: parseURL(t, "https://registry-1.docker.io"),
				Username: "site", PasswordEnv: "DOCKER_HUB_TOKEN",
			},
			{
				Name: "gcr.io", URL: parseURL(t, "https://gcr.example/base"), Default: true, Username: "_json_key", PasswordFile: "/etc/sluice/gcr.json",
				Realm: "auth.example:8443", CA: "/etc/sluice/ca.pem", Proxy: parseURL(t, "socks5://alice:pass@relay.example:1080"), TagTTL: 10 * time.Minute,
				BlobHosts: []string{"storage.example.com", "blobs.example.com"},
			},
			{Name: "reg.example:5000", URL: parseURL(t, "http://10.0.0.5:5000"), Helper: "ecr-login", TagTTL: 5 * time.Minute},
		},
		Cache: Cache{Directory: "/srv/mirror", MaxSize: 1.5e9, TagTTL: 5 * time.Minute},
		Rules: []access.Rule{
			{
				Rule:    acl.Rule{Name: "acme", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}, Users: []string{"alice"}, To: []string{"gcr.io", "reg.example:5000"}},
				Private: []string{"gcr.io/acme/*", "docker.io/acme/app"},
			},
			{Rule: acl.Rule{Name: "no-reg", To: []string{"reg.example"}}},
			{Rule: acl.Rule{Name: "all", Action: acl.Allow, Clients: []string{"0.0.0.0/0"}}},
		},
		UsersFile: "/etc/sluice/mirror.htpasswd",
		Transparent: &Transparent{
			Address: "127.0.0.1:5002",
			Rules: []sections.Rule{{
				Rule:     acl.Rule{Name: "packages", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"*.example.com"}, Ports: []acl.PortRange{{First: 443, Last: 443}}},
				Download: 5e6,
			}},
		},
		Authority: "/etc/sluice/authority",
		Egress: sections.Egress{
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")},
			Resolver:     []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
			Prefer:       sections.PreferIPv4,
		},
		Timeouts: Timeouts{Handshake: 5 * time.Second, Dial: 7 * time.Second, Idle: 2 * time.Minute},
		Limits:   Limits{Connections: 32},
		Server:   Server{MaxConnections: 2000, Drain: 30 * time.Second},
		Log:      Log{Level: "debug", Format: "console", Access: "journald"},
		Admin:    "unix:/run/sluice-mirror/admin.sock",
	}
	c := mustParse(t, string(data), Flags{})
	if d := diff(want, c); d != "" {
		t.Error(d)
	}
	if c.Transparent.Policy.Len() != 1 {
		t.Errorf("%d rules of the transparent way compiled", c.Transparent.Policy.Len())
	}
}

func TestAFileThatIsNamedMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	_, err := Load(Flags{Config: path})
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != path+": cannot be read: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestTheRegistryOfPathsThatNameNone(t *testing.T) {
	upstream := func(name, more string) string { return "[[upstream]]\nname = \"" + name + "\"\n" + more }
	for _, test := range []struct{ text, want string }{
		{"", "docker.io"},
		{upstream("ghcr.io", ""), "ghcr.io"},
		{upstream("ghcr.io", "") + upstream("quay.io", ""), ""},
		{upstream("ghcr.io", "") + upstream("docker.io", ""), "docker.io"},
		{upstream("ghcr.io", "default = true\n") + upstream("docker.io", ""), "ghcr.io"},
	} {
		got := ""
		for _, u := range mustParse(t, test.text, Flags{}).Upstreams {
			if u.Default {
				got += u.Name
			}
		}
		if got != test.want {
			t.Errorf("%q, not %q, of:\n%s", got, test.want, test.text)
		}
	}
}
