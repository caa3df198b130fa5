package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/acl"
	"sluice/internal/config/strict"
	"sluice/internal/lab"
)

// standard is what holds without file and flags.
func standard() *Config {
	return &Config{
		Listeners: []Listener{{":3128", Auto}, {":1080", SOCKS5}},
		Admin:     "127.0.0.1:9128",
		Rules:     []Rule{{Rule: acl.Rule{Name: "loopback", Action: acl.Allow, Clients: []string{"127.0.0.0/8", "::1"}}}},
		Limits:    Limits{Download: Unlimited, Upload: Unlimited, Burst: 1000000, Handshakes: 256, Tunnels: 1024, NewTunnels: 200},
		Server:    Server{Drain: 8 * time.Second},
		Timeouts:  Timeouts{Handshake: 10 * time.Second, Dial: 10 * time.Second, Idle: 15 * time.Minute},
		Log:       Log{Level: "info", Format: "json", Access: "stdout"},
	}
}

func diff(want, got *Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "Policy", "Warnings"), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }))
}

func mustParse(t *testing.T, text string, f Flags) *Config {
	t.Helper()
	c, err := Parse("test.toml", []byte(text), f, shipped())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWithoutFileAndFlagsLoopbackAloneIsAdmitted(t *testing.T) {
	c, err := load(Flags{}, shipped(), filepath.Join(t.TempDir(), "sluice.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(standard(), c); d != "" {
		t.Error(d)
	}
	for client, want := range map[string]bool{"127.0.0.9": true, "::1": true, "192.0.2.10": false, "2001:db8::1": false} {
		if got := c.Policy.AdmitsClient(netip.MustParseAddr(client)); got != want {
			t.Errorf("client %s admitted: %v", client, got)
		}
	}
}

func TestTheStandardFileIsReadIfItExists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(path, []byte("[limits]\ntunnels = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(Flags{}, shipped(), path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.Tunnels != 7 || c.Path != path {
		t.Errorf("got %d tunnels from %q", c.Limits.Tunnels, c.Path)
	}
}

func TestAFileThatIsNamedMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	_, err := Load(Flags{Config: path}, shipped())
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != path+": cannot be read: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := Load(Flags{Config: t.TempDir()}, shipped()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

func TestAFileThatCannotBeReadIsNotTakenForNone(t *testing.T) {
	dir := t.TempDir() // in the place of the standard file
	if _, err := load(Flags{}, shipped(), dir); err == nil {
		t.Error("accepted")
	}
}

func TestAFileThatIsTooLongIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, strict.MaxFile+1); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Flags{Config: path}, shipped())
	if err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestEveryKeyOfAFileIsTaken(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	hash := "SPbKe4aYo1FERvwJUsknUu9rTC8PWpwomxKFxaBbuA6FIAh8pC4LO"
	want := &Config{
		Path: "test.toml",
		Open: true,
		Listeners: []Listener{
			{"192.0.2.1:3128", HTTP}, {"[::1]:1080", SOCKS5}, {"localhost:0", Auto},
		},
		Admin: "unix:/run/sluice/admin.sock",
		Rules: []Rule{
			{Rule: acl.Rule{Name: "no-metadata", To: []string{"169.254.169.254"}, Ports: []acl.PortRange{{First: 1, Last: 65535}}}},
			{
				Rule: acl.Rule{
					Name: "docker-hosts", Action: acl.Allow,
					Clients: []string{"192.0.2.10", "198.51.100.0/24", "2001:db8::/48"},
					To:      []string{"@docker-hub", "*.example.com", ".example.net", "example.org", "203.0.113.0/24"},
					Ports:   []acl.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 8000, Last: 8099}},
				},
				Download: 50e6, Upload: 1.5e6,
			},
			{Rule: acl.Rule{Name: "staff", Action: acl.Allow, Users: []string{"alice", "bob"}}, Download: Unlimited},
			{Rule: acl.Rule{Name: "guests", Action: acl.Allow, Clients: []string{"0.0.0.0/0", "::/0"}, To: []string{"www.example.com"}}},
		},
		Users:    []User{{"alice", []byte("$2y$10$" + hash)}, {"bob", []byte("$2b$04$" + hash)}},
		Limits:   Limits{Download: 100 << 20, Upload: 20e9, Burst: 256 << 10, Handshakes: 32, Tunnels: 16, NewTunnels: 0.5},
		Server:   Server{MaxHandshakes: 2000, MaxTunnels: 50000},
		Timeouts: Timeouts{Handshake: 5 * time.Second, Dial: 7500 * time.Millisecond, Idle: 90 * time.Minute},
		Egress: Egress{
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32"), netip.MustParsePrefix("203.0.113.0/24")},
			Resolver:     []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")},
			Prefer:       PreferIPv6,
		},
		Log: Log{Level: "debug", Format: "squid", Access: "/var/log/sluice/access.log"},
	}
	c := mustParse(t, string(data), Flags{})
	if d := diff(want, c); d != "" {
		t.Error(d)
	}
	if c.Policy.Len() != len(c.Rules) {
		t.Errorf("%d rules compiled", c.Policy.Len())
	}
}

func TestOtherSpellingsOfTOMLMeanTheSame(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/inline.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := standard()
	want.Path = "test.toml"
	want.Limits.Tunnels = 5
	want.Listeners = []Listener{{":8080", HTTP}}
	want.Log.Level = "warn"
	want.Rules = []Rule{{Rule: acl.Rule{Name: "a", Action: acl.Allow, Clients: []string{"192.0.2.1"}}}, {Rule: acl.Rule{Name: "b"}}}
	if d := diff(want, mustParse(t, string(data), Flags{})); d != "" {
		t.Error(d)
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/bom.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c := mustParse(t, string(data), Flags{}); c.Log.Level != "debug" {
		t.Errorf("level %q", c.Log.Level)
	}
}

func TestAFileWithoutRulesAdmitsNobody(t *testing.T) {
	c := mustParse(t, "", Flags{})
	if c.Policy.AdmitsClient(netip.MustParseAddr("127.0.0.1")) {
		t.Error("admitted")
	}
	if w := warnings(c); !slices.Equal(w, []string{"test.toml: there is no rule, so every request is denied; add a [[rule]]"}) {
		t.Errorf("warnings %q", w)
	}
}

func TestAllErrorsOfAnErrorsValueCanBeReached(t *testing.T) {
	_, err := Parse("test.toml", []byte("open = 1\n[log]\nlevel = 2\n"), Flags{Rate: "1"}, shipped())
	var list Errors
	if !errors.As(err, &list) || len(list) != 3 {
		t.Fatalf("got %v", err)
	}
	if list[0].File != "--rate" || list[1].Line != 1 || list[2].Line != 3 || list[2].Column != 9 {
		t.Errorf("got %v", err)
	}
	var one *Error
	if !errors.As(err, &one) || one != list[0] {
		t.Error("the first cannot be reached by errors.As")
	}
}

func TestAHopelessFileDoesNotFloodTheScreen(t *testing.T) {
	text := "[[rule]]\nname = \"a\"\naction = \"allow\"\nclients = [" + strings.Repeat("\"nobody\",\n", 5000) + "]\n"
	_, err := Parse("test.toml", []byte(text), Flags{}, shipped())
	lines := strings.Split(err.Error(), "\n")
	const most = 100
	if len(lines) != most+1 || lines[most] != "test.toml: 4900 more are not shown" {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

// A pipe can be read once. What a reload finds there then is no file without a rule.
func TestAPipeThatHasNothingAnyMoreIsNoConfiguration(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	io.WriteString(w, "open = false\n")
	w.Close()
	f := Flags{Config: fmt.Sprintf("/dev/fd/%d", r.Fd())}
	if _, err := os.Stat(f.Config); err != nil {
		lab.LeaveOut(t, "a configuration from a pipe: "+err.Error())
	}
	if _, err := Load(f, Presets{}); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(f, Presets{}); err == nil || !strings.Contains(err.Error(), "nothing any more") {
		t.Errorf("read again: %v, %v", c, err)
	}
	if _, err := Load(Flags{Config: os.DevNull}, Presets{}); err != nil {
		t.Errorf("%s is no file without a rule: %v", os.DevNull, err)
	}
}
