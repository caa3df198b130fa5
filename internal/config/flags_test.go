package config

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/acl"
)

const fileOfFlagsTest = `
[[listener]]
address = ":8080"
protocol = "http"

[admin]
address = "127.0.0.1:9000"

[[rule]]
name = "docker-hosts"
action = "allow"
clients = ["192.0.2.10"]

[limits]
download = "1MB/s"

[egress]
allow_private = ["10.1.0.0/16"]

[log]
format = "console"
`

func TestFlagsOverrideTheFile(t *testing.T) {
	off, socket := "", "unix:/run/sluice.sock"
	fromFile := mustParse(t, fileOfFlagsTest, Flags{})
	tests := []struct {
		name  string
		flags Flags
		want  func(*Config)
	}{
		{"--listen opens its listeners instead", Flags{Listen: []string{":3128", "127.0.0.1:1080"}}, func(c *Config) {
			c.Listeners = []Listener{{":3128", Auto}, {"127.0.0.1:1080", Auto}}
		}},
		{"--admin moves the address", Flags{Admin: &socket}, func(c *Config) { c.Admin = socket }},
		{"--admin with nothing turns it off", Flags{Admin: &off}, func(c *Config) { c.Admin = "" }},
		{"--log-format replaces the format", Flags{LogFormat: "squid"}, func(c *Config) { c.Log.Format = "squid" }},
		{"--allow-private adds", Flags{AllowPrivate: []string{"192.168.1.1"}}, func(c *Config) {
			c.Egress.AllowPrivate = append(slices.Clone(c.Egress.AllowPrivate), netip.MustParsePrefix("192.168.1.1/32"))
		}},
		{"--rate alone limits both ways", Flags{Rate: "5MB/s"}, func(c *Config) { c.Limits.Download, c.Limits.Upload = 5e6, 5e6 }},
		{"--rate alone can lift the limits", Flags{Rate: "unlimited"}, func(c *Config) { c.Limits.Download = Unlimited }},
		{"--allow stands first", Flags{Allow: []string{"198.51.100.0/24", "::1"}, To: []string{"@docker-hub"}, Rate: "5MB/s"}, func(c *Config) {
			c.Rules = []Rule{{
				Rule:     acl.Rule{Name: "command-line", Action: acl.Allow, Clients: []string{"198.51.100.0/24", "::1"}, To: []string{"@docker-hub"}},
				Download: 5e6, Upload: 5e6,
			}, c.Rules[0]}
		}},
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

func TestFlagsAloneMakeARelay(t *testing.T) {
	c, err := load(Flags{Allow: []string{"192.0.2.10"}, To: []string{"@docker-hub"}}, shipped(), t.TempDir()+"/none")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rules) != 1 || c.Rules[0].Name != "command-line" {
		t.Errorf("rules %v", c.Rules)
	}
	if c.Policy.AdmitsClient(netip.MustParseAddr("127.0.0.1")) {
		t.Error("the loopback rule is there as well")
	}
}

func TestTheFileMayOpenWhatAFlagAdmits(t *testing.T) {
	c := mustParse(t, "open = true\n", Flags{Allow: []string{"0.0.0.0/0"}})
	want := []string{`--allow: the clients of rule "command-line" (0.0.0.0/0) take in the whole Internet: whoever finds this proxy can use it`}
	if w := warnings(c); !slices.Equal(w, want) {
		t.Errorf("warnings %q", w)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	bad := "3128"
	tests := []struct {
		flags Flags
		want  string
	}{
		{Flags{Listen: []string{"3128"}}, `--listen: "3128" is not an address to listen on; write ":3128"`},
		{Flags{Listen: []string{""}}, `--listen: "" is not an address to listen on; write an address and a port, such as "192.0.2.1:3128", ":3128" or "[::1]:3128"`},
		{Flags{Listen: []string{":3128", ":3128"}}, `--listen: the listener ":3128" and the listener ":3128" cannot both be had; give each its own port`},
		{Flags{Listen: []string{":9128"}}, `--listen: the listener ":9128" and the admin address "127.0.0.1:9128" cannot both be had; give each its own port`},
		{Flags{Allow: []string{"192.0.2.1/24"}}, `--allow: "192.0.2.1/24" has host bits set; write "192.0.2.0/24" for the network or "192.0.2.1" for the one address`},
		{Flags{Allow: []string{""}}, `--allow: "" is not an address or CIDR; write an address or a network, such as "192.0.2.10" or "192.0.2.0/24"`},
		{Flags{Allow: []string{"0.0.0.0/0"}}, `--allow: the clients of rule "command-line" (0.0.0.0/0) take in the whole Internet: whoever finds this proxy could use it; name the clients that need it, or write open = true at the top of a file`},
		{Flags{Allow: []string{"192.0.2.1"}, To: []string{"@docker"}}, `--to: there is no preset "@docker"; did you mean "@docker-hub"?`},
		{Flags{To: []string{"example.com"}}, `--to: destinations without clients make no rule; add --allow with the clients that may go there`},
		{Flags{Rate: "50"}, `--rate: "50" is not a rate; write a size for each second, such as "50MB/s", or "unlimited"`},
		{Flags{Allow: []string{"192.0.2.1"}, Rate: "1B/s"}, `--rate: "1B/s" is out of bounds; write a value from "1kB/s" to "1000GB/s"`},
		{Flags{Admin: &bad}, `--admin: "3128" is not an address to listen on; write ":3128"`},
		{Flags{AllowPrivate: []string{"10.0.0.1/8"}}, `--allow-private: "10.0.0.1/8" has host bits set; write "10.0.0.0/8" for the network or "10.0.0.1" for the one address`},
		{Flags{LogFormat: "text"}, `--log-format: format cannot be "text"; write "json", "console" or "squid"`},
	}
	for _, test := range tests {
		_, err := Parse("test.toml", nil, test.flags, shipped())
		if err == nil || err.Error() != test.want {
			t.Errorf("%+v:\n got %v\nwant %s", test.flags, err, test.want)
		}
	}
}
