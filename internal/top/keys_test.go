package top

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/adminclient"
)

func TestKeysChooseTheOrder(t *testing.T) {
	m := begun()
	for _, tt := range []struct {
		keys  []string
		order string
		named string
	}{
		{nil, "2134", "by rate ▼"},
		{[]string{"o"}, "3412", "by rate ▲"},
		{[]string{"right"}, "1243", "by client ▲"}, // 192.0.2.7 before 192.0.2.10, IPv4 before IPv6
		{[]string{">", ">"}, "4321", "by destination ▲"},
		{[]string{"o"}, "1234", "by destination ▼"},
		{[]string{">", ">", ">"}, "3421", "by age ▼"},
		{[]string{"<", "<", "<", "<", "<", "<", "<"}, "2134", "by up/s ▼"},
		{[]string{"left", "left"}, "2134", "by up ▼"},
	} {
		m.press(t, tt.keys...)
		if m.order() != tt.order || m.tunnels.sorted(m.glyphs) != tt.named {
			t.Errorf("after %q: %s %s, not %s %s", tt.keys, m.order(), m.tunnels.sorted(m.glyphs), tt.order, tt.named)
		}
	}
}

func TestTheFilterIsTyped(t *testing.T) {
	m := begun()
	for _, tt := range []struct {
		keys  []string
		order string
	}{
		{[]string{"/", "d", "o", "c"}, "2134"}, // all have the rule docker-hosts
		{[]string{"k", "e", "r", ".", "I"}, "1"},
		{[]string{"backspace", "backspace"}, "2134"},
		{[]string{"ctrl-u", "q", "x"}, ""}, // letters, no commands
		{[]string{"ctrl-u"}, "2134"},
		{strings.Split("builder|socks", ""), ""},
		{[]string{"ctrl-u", "b", "u", "i", "l", "d", " ", "s", "o", "c", "k", "s"}, "4"},
		{[]string{"enter", "j", "x", "n"}, "4"},
		{[]string{"esc"}, "2134"},
		{append([]string{"/"}, strings.Split("192.0.2.0/29", "")...), "1"},
		{[]string{"esc"}, "2134"},
	} {
		m.press(t, tt.keys...)
		if m.order() != tt.order {
			t.Errorf("after %q, with %q: %s, not %s", tt.keys, m.tunnels.filter, m.order(), tt.order)
		}
	}
}

func TestTheSelectionStaysWithItsTunnel(t *testing.T) {
	m := begun()
	selected := func() string {
		row, ok := m.tunnels.current()
		if !ok {
			return ""
		}
		return row.ID[:1]
	}
	tick := func(seconds int, moved string, closed ...string) {
		ev := &adminclient.Tick{Time: noon.Add(time.Duration(seconds) * time.Second), Closed: closed}
		if moved != "" {
			ev.Moved = []adminclient.Moved{{ID: strings.Repeat(moved, 16), Up: int64(seconds) * 1e9}}
		}
		m.event(ev)
	}
	tick(1, "3")
	if selected() != "3" {
		t.Errorf("who has chosen nothing sees the first selected, not %s of %s", selected(), m.order())
	}
	m.press(t, "j") // 1: all others rest
	tick(2, "4")
	if m.order() != "4123" || selected() != "1" {
		t.Errorf("%s of %s is selected", selected(), m.order())
	}
	tick(3, "", strings.Repeat("1", 16))
	if m.order() != "234" || selected() != "3" {
		t.Errorf("in the place of what has ended is %s of %s", selected(), m.order())
	}
	m.press(t, "G")
	if selected() != "4" {
		t.Errorf("the last is %s", selected())
	}
	m.press(t, "pgdn", "pgup", "pgup")
	if selected() != "2" {
		t.Errorf("the first is %s", selected())
	}
	m.press(t, "end", "g")
	tick(4, "4")
	if selected() != "4" {
		t.Errorf("after going home the first is selected, not %s", selected())
	}
	tick(5, "", strings.Repeat("2", 16), strings.Repeat("3", 16), strings.Repeat("4", 16))
	if selected() != "" {
		t.Errorf("%s is selected of none", selected())
	}
	for _, k := range []string{"j", "k", "G", "pgup", "x", "enter"} {
		if ask := m.press(t, k); ask != nil || m.asked != nil || m.detail != nil {
			t.Errorf("%s does something to nothing", k)
		}
	}
}

func TestTheSelectedRowStaysAtItsHeight(t *testing.T) {
	m := newModel("127.0.0.1:9128", "relay", true)
	start := &adminclient.Start{Time: noon}
	for i := range 100 {
		start.Tunnels = append(start.Tunnels, live(fmt.Sprintf("%016d", i), "192.0.2.1", fmt.Sprintf("host%02d", i), time.Minute))
	}
	m.event(start)
	row := func() int {
		for i, line := range strings.Split(m.screen(80, 24), "\n") {
			if strings.HasPrefix(line, ">") {
				return i
			}
		}
		return -1
	}
	row()
	m.press(t, "pgdn", "pgdn", "pgdn")
	row()
	m.press(t, "k", "k", "k", "k")
	before := row()
	// Others overtake the tunnel: it is eleven rows further down now.
	tick := &adminclient.Tick{Time: noon.Add(time.Second)}
	for i := 80; i < 91; i++ {
		tick.Moved = append(tick.Moved, adminclient.Moved{ID: fmt.Sprintf("%016d", i), Up: 1000})
	}
	m.event(tick)
	if after := row(); after != before {
		t.Errorf("it moves from line %d to %d of the screen", before, after)
	}
	m.press(t, "G")
	if text := m.screen(80, 24); !strings.Contains(text, ">192.0.2.1 host99") {
		t.Errorf("the last is not on the screen:\n%s", text)
	}
	m.press(t, "g")
	if text := m.screen(80, 24); !strings.Contains(text, ">192.0.2.1 host80") {
		t.Errorf("the first is not on the screen:\n%s", text)
	}
}

func TestAKillIsConfirmed(t *testing.T) {
	m := begun()
	for _, no := range []string{"n", "enter", "esc", "x", "Y", "q", "j"} {
		if ask := m.press(t, "x", no); ask != nil || m.asked != nil || m.note != "not killed" {
			t.Errorf("%q kills: %+v, %q", no, ask, m.note)
		}
	}
	if text := begun().screen(80, 10); strings.Contains(text, "kill?") {
		t.Errorf("nothing was asked:\n%s", text)
	}
	m.press(t, "x")
	if text := m.screen(80, 10); !strings.Contains(text, "kill? y or n: 192.0.2.10 to production.cloudflare.docker.com:443") {
		t.Errorf("%s", text)
	}
	// Another one comes first meanwhile: it is not the one that was asked about.
	m.event(&adminclient.Tick{Time: noon.Add(time.Second), Moved: []adminclient.Moved{{ID: strings.Repeat("3", 16), Down: 1e9}}})
	ask := m.press(t, "y")
	if ask == nil || ask.kind != killTunnel || ask.id != strings.Repeat("2", 16) {
		t.Fatalf("%+v", ask)
	}
	for _, tt := range []struct {
		answer answer
		note   string
	}{
		{answer{request: ask, killed: 1}, "killed 192.0.2.10 to production.cloudflare.docker.com:443 2222222222222222"},
		{answer{request: ask, err: &adminclient.Error{Status: 404}}, "it has ended already: 192.0.2.10 to production.cloudflare.docker.com:443 2222222222222222"},
		{answer{request: ask, err: &adminclient.Error{Status: 421, Sentence: "no\x1b[2J"}}, `not killed: no\x1b[2J`},
	} {
		if m.answer(tt.answer); m.note != tt.note {
			t.Errorf("%q, not %q", m.note, tt.note)
		}
	}
	m = begun()
	ask = m.press(t, "c", "j", "x", "y")
	if ask == nil || ask.kind != killClient || ask.client != "2001:db8::/64" {
		t.Errorf("%+v", ask)
	}
	if ask := m.press(t, "d", "x", "y"); ask != nil {
		t.Errorf("a destination is killed: %+v", ask)
	}
}

func TestEnterShowsAllAboutATunnel(t *testing.T) {
	m := begun()
	ask := m.press(t, "enter")
	if ask == nil || ask.kind != lookUp || ask.id != strings.Repeat("2", 16) {
		t.Fatalf("%+v", ask)
	}
	m.answer(answer{request: ask, object: json.RawMessage(`{"id":"2222222222222222","later":"\u001b[2Jx","bytes_down":1234567,"rate_up":7000}`)})
	text := m.screen(60, 20)
	for _, want := range []string{"later           \\x1b[2Jx", "1234567 (1.23MB)", "7000 (7.00kB/s)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q:\n%s", want, text)
		}
	}
	if ask := m.event(&adminclient.Tick{Time: noon.Add(time.Second)}); ask == nil || ask.kind != lookUp {
		t.Errorf("the page is not kept up to date: %+v", ask)
	}
	if ask := m.event(&adminclient.Tick{Time: noon.Add(2 * time.Second), Closed: []string{strings.Repeat("2", 16)}}); ask != nil {
		t.Errorf("what has ended is asked for: %+v", ask)
	}
	if text := m.screen(60, 20); !strings.Contains(text, "has ended") || !strings.Contains(text, "later") {
		t.Errorf("%s", text)
	}
	m.press(t, "esc")
	if text := m.screen(60, 20); !strings.Contains(text, "DESTINATION") {
		t.Errorf("%s", text)
	}
}

func TestARefusalIsExplained(t *testing.T) {
	m := begun()
	ask := m.press(t, "r", "j", "enter")
	if ask == nil || ask.kind != explain || ask.client != "192.0.2.7" || ask.to != "10.0.0.1:443" {
		t.Fatalf("%+v", ask)
	}
	m.answer(answer{request: &request{kind: explain, id: "of another page"}, explanation: adminclient.Explanation{Sentence: "stray"}})
	if text := m.screen(60, 20); strings.Contains(text, "stray") {
		t.Errorf("another page's answer:\n%s", text)
	}
	m.answer(answer{request: ask, explanation: adminclient.Explanation{
		Sentence: "no rule lets 192.0.2.7 reach 10.0.0.1:443",
		Steps:    []adminclient.Step{{Rule: "docker-hosts", Action: "allow", Why: "10.0.0.1 is not in to"}},
	}})
	text := m.screen(60, 20)
	for _, want := range []string{"not_public", "rule docker-hosts    allow no  10.0.0.1 is not in to", "denied: no rule lets 192.0.2.7"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q:\n%s", want, text)
		}
	}
	unread := refused("cccccccccccccccc", 0, "192.0.2.1", "", "malformed")
	m.event(&adminclient.Tick{Time: noon, Refused: []*adminclient.Transaction{unread}})
	if ask := m.press(t, "esc", "g", "enter"); ask != nil || m.detail == nil {
		t.Errorf("a request that named no destination: %+v", ask)
	}
}

func TestClientsAndDestinationsLeadToTheirTunnels(t *testing.T) {
	m := begun()
	for keys, order := range map[string]string{"c": "2", "cj": "3", "d": "2", "dj": "4"} {
		m.press(t, append(strings.Split(keys, ""), "enter")...)
		if m.view != tunnels || m.order() != order {
			t.Errorf("%q leads to %v %s", keys, m.view, m.order())
		}
		m.press(t, "esc", "c", "g", "d", "g")
	}
}

func TestOnlyQAndCtrlCQuit(t *testing.T) {
	for _, state := range [][]string{{}, {"?"}, {"/"}, {"x"}, {"enter"}, {"r"}} {
		m := begun()
		m.press(t, state...)
		if _, quit := m.key("ctrl-c"); !quit {
			t.Errorf("ctrl-c does not quit after %q", state)
		}
		m = begun()
		m.press(t, state...)
		_, quit := m.key("q")
		if want := !m.typing && (len(state) == 0 || state[0] != "x"); quit != want {
			t.Errorf("q after %q quits: %v", state, quit)
		}
	}
}
