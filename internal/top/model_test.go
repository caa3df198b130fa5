package top

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/adminclient"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // refusals show the time of day
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noon is when the proxy of these tests is looked at.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// live is a tunnel that has been open for so long.
func live(id, client, host string, age time.Duration) *adminclient.Transaction {
	t := &adminclient.Transaction{
		ID: id, Start: noon.Add(-age), Protocol: "connect", Client: client,
		Host: host, Port: 443, Rule: "docker-hosts",
	}
	t.Object = fmt.Appendf(nil, `{"id":%q,"client":%q,"host":%q,"port":443,"bytes_up":0,"bytes_down":1234567}`, id, client, host)
	return t
}

// begun is a proxy with four tunnels and two refusals, of which one second has
// been seen.
func begun() *model {
	m := newModel("127.0.0.1:9128", "relay", true)
	user := live("4444444444444444", "198.51.100.4", "deb.debian.org", 2*time.Hour)
	user.User, user.Protocol = "builder", "socks5"
	m.event(&adminclient.Start{
		Time: noon.Add(-time.Second), Version: "v1.2.3", Started: noon.Add(-75 * time.Hour), MaxTunnels: 20000,
		Tunnels: []*adminclient.Transaction{
			live("1111111111111111", "192.0.2.7", "registry-1.docker.io", 5*time.Second),
			live("2222222222222222", "192.0.2.10", "production.cloudflare.docker.com", 3*time.Minute),
			live("3333333333333333", "2001:db8::17", "files.pythonhosted.org", 49*time.Hour),
			user,
		},
		Refusals: []*adminclient.Transaction{
			refused("bbbbbbbbbbbbbbbb", 2, "192.0.2.66", "example.com", "rule_denied"),
			refused("aaaaaaaaaaaaaaaa", 3, "192.0.2.7", "10.0.0.1", "not_public"),
		},
		Requests: map[string]int64{"ok": 40, "rule_denied": 3, "not_public": 1},
	})
	m.event(&adminclient.Tick{
		Time: noon, Count: 4, Up: 3000, Down: 9e6, RateUp: 2500, RateDown: 7.5e6,
		Requests: map[string]int64{"ok": 41, "rule_denied": 3, "not_public": 1},
		Moved: []adminclient.Moved{
			{ID: "1111111111111111", Up: 500, Down: 1_500_000},
			{ID: "2222222222222222", Up: 2000, Down: 6_000_000},
		},
		Clients: []adminclient.Share{
			{Client: "192.0.2.10", Tunnels: 1, RateUp: 2000, RateDown: 6e6},
			{Client: "2001:db8::/64", Tunnels: 1},
		},
		Destinations: []adminclient.Share{
			{Host: "production.cloudflare.docker.com", Tunnels: 1, RateUp: 2000, RateDown: 6e6},
			{Host: "deb.debian.org", Tunnels: 1},
		},
	})
	return m
}

func refused(id string, minutes int, client, host, outcome string) *adminclient.Transaction {
	reason := "no rule lets " + client + " reach " + host + ":443"
	return &adminclient.Transaction{
		ID: id, Time: noon.Add(-time.Duration(minutes) * time.Minute), Protocol: "connect", Client: client,
		Host: host, Port: 443, Outcome: outcome, Status: 403, Reason: reason,
		Object: fmt.Appendf(nil, `{"id":%q,"client":%q,"host":%q,"port":443,"outcome":%q,"status":403,"reason":%q}`,
			id, client, host, outcome, reason),
	}
}

// press presses keys and returns what the last one asks for.
func (m *model) press(t *testing.T, keys ...string) *request {
	t.Helper()
	var ask *request
	for _, k := range keys {
		var quit bool
		if ask, quit = m.key(k); quit {
			t.Fatalf("%q ends the program", k)
		}
	}
	return ask
}

// screen is what is drawn, as text.
func (m *model) screen(columns, lines int) string {
	var text string
	for _, l := range m.draw(columns, lines) {
		text += strings.TrimRight(l.text(), " ") + "\n"
	}
	return text
}

// order is the first digit of the listed tunnels' identifiers.
func (m *model) order() string {
	var order string
	for _, t := range m.tunnels.rows {
		order += t.ID[:1]
	}
	return order
}
