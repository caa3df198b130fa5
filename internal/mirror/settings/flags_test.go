package settings

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/acl"
	"sluice/internal/mirror/access"
)

const fileOfFlagsTest = `
[[listener]]
address = "127.0.0.1:8080"

[[listener]]
address = "127.0.0.1:8081"
tls = "off"

[[upstream]]
name = "ghcr.io"

[[rule]]
name = "hosts"
action = "allow"
clients = ["192.0.2.10"]
`

func TestFlagsOverrideTheFile(t *testing.T) {
	off := ""
	fromFile := mustParse(t, fileOfFlagsTest, Flags{})
	tests := []struct {
		name  string
		flags Flags
		want  func(*Config)
	}{
		{"--listen opens its listeners instead", Flags{Listen: []string{"127.0.0.1:6000", "[::1]:6000"}}, func(c *Config) {
			c.Listeners = []Listener{{Address: "127.0.0.1:6000"}, {Address: "[::1]:6000"}}
		}},
		{"--tls-self is for listeners that do not say", Flags{TLSSelf: true}, func(c *Config) {
			c.Listeners = slices.Clone(c.Listeners)
			c.Listeners[0].TLS = TLSSelf
		}},
		{"--tls-self and --listen", Flags{TLSSelf: true, Listen: []string{":5443"}}, func(c *Config) {
			c.Listeners = []Listener{{Address: ":5443", TLS: TLSSelf}}
		}},
		{"--plain-http and --listen", Flags{PlainHTTP: true, Listen: []string{":5000"}}, func(c *Config) {
			c.Listeners = []Listener{{Address: ":5000"}}
		}},
		{"--cache moves the cache and what is in it", Flags{Cache: "/srv/mirror", MaxSize: "5GiB"}, func(c *Config) {
			c.Cache.Directory, c.Cache.MaxSize, c.Authority = "/srv/mirror", 5<<30, "/srv/mirror/authority"
		}},
		{"--upstream mirrors its registries instead", Flags{Upstream: []string{"docker.io", "reg.example:5000=http://192.0.2.1:5000"}}, func(c *Config) {
			hub := standard(t).Upstreams[0]
			c.Upstreams = []Upstream{hub, {Name: "reg.example:5000", URL: parseURL(t, "http://192.0.2.1:5000"), TagTTL: c.Cache.TagTTL}}
		}},
		{"--proxy is for all upstreams", Flags{Proxy: "http://relay.example:3128"}, func(c *Config) {
			c.Upstreams = slices.Clone(c.Upstreams)
			c.Upstreams[0].Proxy = parseURL(t, "http://relay.example:3128")
		}},
		{"--allow stands first", Flags{Allow: []string{"198.51.100.0/24"}}, func(c *Config) {
			c.Rules = append([]access.Rule{{Rule: acl.Rule{Name: "command-line", Action: acl.Allow, Clients: []string{"198.51.100.0/24"}}}}, c.Rules...)
		}},
		{"--allow-private adds", Flags{AllowPrivate: []string{"10.0.0.5"}}, func(c *Config) {
			c.Egress.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}
		}},
		{"--admin with nothing turns it off", Flags{Admin: &off}, func(c *Config) { c.Admin = "" }},
		{"--log-format replaces the format", Flags{LogFormat: "console"}, func(c *Config) { c.Log.Format = "console" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := *fromFile
			test.want(&want)
			if d := diff(&want, mustParse(t, fileOfFlagsTest, test.flags)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWithAllowLoopbackIsNotLetInAsWell(t *testing.T) {
	c, err := load(Flags{Allow: []string{"192.0.2.10"}}, t.TempDir()+"/none", false)
	if err != nil {
		t.Fatal(err)
	}
	p, err := access.New(c.Rules)
	if err != nil {
		t.Fatal(err)
	}
	if p.AdmitsClient(netip.MustParseAddr("127.0.0.1")) || !p.AdmitsClient(netip.MustParseAddr("192.0.2.10")) {
		t.Errorf("rules %v", c.Rules)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	bad := "5001"
	tests := []struct {
		flags Flags
		want  string
	}{
		{Flags{Listen: []string{":5000"}}, `--listen: the listener ":5000" is for other machines, and does not say whether they are to have TLS; add --tls-self for a certificate of the mirror's own CA, or --plain-http`},
		{Flags{Listen: []string{"5000"}}, `--listen: "5000" is not an address to listen on; write ":5000"`},
		{Flags{Listen: []string{"127.0.0.1:5001"}}, `--listen: the listener "127.0.0.1:5001" and the admin address "127.0.0.1:5001" cannot both be had; give each its own port`},
		{Flags{TLSSelf: true, PlainHTTP: true}, `--plain-http: --plain-http and --tls-self cannot both be had; leave one of them out`},
		{Flags{Allow: []string{"0.0.0.0/0"}}, `--allow: the clients of rule "command-line" (0.0.0.0/0) take in the whole Internet: whoever finds this mirror could use it; name the clients that need it, or write open = true at the top of a file`},
		{Flags{Allow: []string{"host"}}, `--allow: "host" is a name, and clients are known by address only; write an address or a network, such as "192.0.2.10" or "192.0.2.0/24"`},
		{Flags{AllowPrivate: []string{"10.0.0.1/8"}}, `--allow-private: "10.0.0.1/8" has host bits set; write "10.0.0.0/8" for the network or "10.0.0.1" for the one address`},
		{Flags{Cache: "mirror"}, `--cache: "mirror" is not an absolute path; write an absolute path, such as "/var/lib/sluice-mirror"`},
		{Flags{MaxSize: "20"}, `--max-size: "20" is not a size; write a number and a unit (B, kB, MB, GB, KiB, MiB, GiB), such as "1MB"`},
		{Flags{MaxSize: "1B"}, `--max-size: "1B" is out of bounds; write a value from "1MB" to "1000000GB"`},
		{Flags{Upstream: []string{"ghcr.io", "ghcr.io"}}, `--upstream: there is an upstream "ghcr.io" already; give each registry one entry`},
		{Flags{Upstream: []string{"=https://ghcr.io"}}, `--upstream: the upstream has no name; write name = "ghcr.io", say, as images are called`},
		{Flags{Upstream: []string{"a.example=a"}}, `--upstream: "a" is not the URL of a registry; write "https://" or "http://" and the host, such as "https://registry-1.docker.io"`},
		{Flags{Proxy: "relay"}, `--proxy: this is not the URL of a proxy; write it as "http://relay.example.com:3128" or "socks5://relay.example.com:1080"`},
		{Flags{Admin: &bad}, `--admin: "5001" is not an address to listen on; write ":5001"`},
		{Flags{LogFormat: "squid"}, `--log-format: format cannot be "squid"; write "json" or "console"`},
	}
	for _, test := range tests {
		_, err := Parse("mirror.toml", nil, test.flags)
		if err == nil || err.Error() != test.want {
			t.Errorf("%+v:\n got %v\nwant %s", test.flags, err, test.want)
		}
	}
}
