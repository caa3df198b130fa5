package top

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/adminclient"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestScreens holds what is drawn against testdata, which people have looked at.
func TestScreens(t *testing.T) {
	for _, tt := range []struct {
		name           string
		columns, lines int
		model          func() *model
	}{
		{"tunnels-160", 160, 12, begun},
		{"tunnels-120", 120, 12, begun},
		{"tunnels-80", 80, 12, begun},
		{"tunnels-40", 40, 16, begun},
		{"tunnels-20", 20, 8, begun},
		{"refusals-80", 80, 10, keyed("r")},
		{"explained-40", 40, 24, keyed("r", "enter")},
		{"clients-40", 40, 12, keyed("c", "j")},
		{"destinations-80", 80, 10, keyed("d")},
		{"help-80", 80, 24, keyed("?")},
		{"help-40", 40, 16, keyed("?", "j", "j")},
		{"filter-80", 80, 10, keyed("/", "d", "e", "b")},
		{"kill-40", 40, 14, keyed("j", "x")},
		{"lost-80", 80, 10, func() *model {
			m := begun()
			m.disconnected(errors.New("dial tcp 127.0.0.1:9128: connect: connection refused"))
			return m
		}},
		{"connecting-40", 40, 4, func() *model { return newModel("127.0.0.1:9128", "relay", true) }},
		{"ascii-80", 80, 10, func() *model {
			m := begun()
			m.glyphs = glyphsFor(false)
			return m
		}},
		{"draining-80", 80, 10, func() *model {
			m := begun()
			m.event(&adminclient.Reload{Time: noon.Add(-3 * time.Second), Error: "sluice.toml:3:1: unknown key \"rul\""})
			m.state.draining = true
			return m
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.model().screen(tt.columns, tt.lines)
			name := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			if n := strings.Count(got, "\n"); n != tt.lines {
				t.Errorf("%d lines, not %d", n, tt.lines)
			}
		})
	}
}

// keyed is the proxy after some keys, and after the answer to the last of them.
func keyed(keys ...string) func() *model {
	return func() *model {
		m := begun()
		for _, k := range keys {
			ask, _ := m.key(k)
			if ask != nil && ask.kind == explain {
				m.answer(answer{request: ask, explanation: adminclient.Explanation{
					Sentence: "no rule lets 192.0.2.66 reach example.com:443",
					Steps:    []adminclient.Step{{Rule: "docker-hosts", Action: "allow", Why: "192.0.2.66 is not in clients"}},
				}})
			}
		}
		return m
	}
}

func TestNoScreenIsTooSmall(t *testing.T) {
	views := map[string]func() *model{
		"tunnels": begun, "refusals": keyed("r"), "clients": keyed("c"), "help": keyed("?"),
		"detail": keyed("enter"), "explained": keyed("r", "enter"), "kill": keyed("x"), "filter": keyed("/", "a"),
		"wide": func() *model {
			m := begun()
			m.state.tunnels["1111111111111111"].Host = "漢字漢字漢字漢字漢字漢字漢字漢字"
			m.rebuild()
			return m
		},
	}
	for name, of := range views {
		for columns := range 60 {
			for lines := range 12 {
				drawn := of().draw(columns, lines)
				if len(drawn) > lines {
					t.Fatalf("%s: %d lines on a screen of %d by %d", name, len(drawn), columns, lines)
				}
				for _, l := range drawn {
					if w := width(l.text()); w > columns {
						t.Fatalf("%s: %q takes %d columns of %d", name, l.text(), w, columns)
					}
				}
			}
		}
	}
}

func TestTextOfClientsIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain ~ text":           "plain ~ text",
		"\x1b[31mred\x1b]0;t\a":  `\x1b[31mred\x1b]0;t\a`,
		"a\r\nb\tc\x00\x7f":      `a\r\nb\tc\x00\x7f`,
		"\u009b2J":               `\u009b2J`, // CSI in one character
		"\x9b2J\xff":             `\x9b2J\xff`,
		"user\u202egnp.exe":      `user\u202egnp.exe`, // right to left
		"a\u200b\u2060\ufeffb":   `a\u200b\u2060\ufeffb`,
		"e\u0301\u0489":          `e\u0301\u0489`, // marks that stack up
		"👩\u200d💻":               `👩\u200d💻`,
		"\U000e0041":             `\U000e0041`, // tags
		"bücher 漢字 \ufffd":       "bücher 漢字 \ufffd",
		"\u2028line\u00a0\u3000": `\u2028line\u00a0\u3000`,
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

func FuzzNoTextGetsThroughToTheTerminal(f *testing.F) {
	f.Add("\x1b[2J\x9b\u202e漢字e\u0301", 9)
	f.Fuzz(func(t *testing.T, s string, columns int) {
		columns = columns & 63
		c := clean(s)
		for _, r := range c {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q gets through as %q", s, c)
			}
		}
		if clean(c) != c {
			t.Errorf("%q is cleaned further, to %q", c, clean(c))
		}
		if w := width(fit(c, columns, true, "…")); w != columns {
			t.Errorf("%q takes %d columns of %d", c, w, columns)
		}
	})
}

func TestHostileNamesOnTheScreen(t *testing.T) {
	evil := "\x1b[2J\u202e\x9b\r\n"
	m := newModel(evil, evil, true)
	tr := live("1111111111111111", evil, evil, time.Second)
	tr.User, tr.Rule, tr.Protocol, tr.Outcome, tr.Reason = evil, evil, evil, evil, evil
	tr.Object = fmt.Appendf(nil, `{"\u001b[2J":"\u001b[2J\u202e","n":[1,"\u009b"],"\u009b":{"\u001b":1}}`)
	m.event(&adminclient.Start{Time: noon, Version: evil, Tunnels: []*adminclient.Transaction{tr}, Refusals: []*adminclient.Transaction{tr}})
	m.event(&adminclient.Reload{Time: noon, Error: evil})
	m.event(&adminclient.Tick{Time: noon, Requests: map[string]int64{evil: 3}, Clients: []adminclient.Share{{Client: evil}}, Destinations: []adminclient.Share{{Host: evil}}})
	look := func(when string) {
		t.Helper()
		for _, r := range m.screen(200, 40) {
			if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') {
				t.Errorf("%s: %q on the screen:\n%q", when, r, m.screen(200, 40))
				return
			}
		}
	}
	for _, keys := range []string{"t", "r", "c", "d", "?"} {
		m.press(t, keys)
		look(keys)
	}
	m.press(t, "esc", "t", "enter")
	look("a tunnel")
	m.press(t, "x")
	look("a kill")
	m.answer(answer{request: m.asked, err: errors.New(evil)})
	m.asked = nil
	look("a kill that failed")
	ask := m.press(t, "r", "enter")
	m.answer(answer{request: ask, explanation: adminclient.Explanation{Sentence: evil, Steps: []adminclient.Step{{Rule: evil, Action: evil, Why: evil}}}})
	look("an explanation")
	m.answer(answer{request: ask, err: errors.New(evil)})
	look("no explanation")
	m.disconnected(errors.New(evil))
	look("no connection")
	m.press(t, "t", "/", evil, "\u202e")
	look("a filter")
	var once bytes.Buffer
	if err := m.print(&once); err != nil || bytes.ContainsAny(once.Bytes(), "\x1b\r\u202e\u009b") {
		t.Errorf("%v: %q", err, &once)
	}
}

func TestAmountsHaveThreeDigitsThatMatter(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0B", -1: "0B", 7.4: "7B", 999: "999B", 999.6: "1.00kB", 1000: "1.00kB", 12345: "12.3kB", 9_996: "10.0kB", 99_960: "100kB",
		999_499: "999kB", 999_500: "1.00MB", 123_456_789: "123MB", 1e12: "1.00TB", 9.2e18: "9.20EB",
	} {
		if got := amount(n); got != want {
			t.Errorf("%g is %q, not %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		90 * time.Minute: "1h30m", 49 * time.Hour: "2d01h", 4000 * 24 * time.Hour: "4000d00h",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is %q, not %q", d, got, want)
		}
	}
}

func TestTheCurveFollowsTheRates(t *testing.T) {
	g := glyphsFor(true)
	for _, tt := range []struct {
		values []float64
		want   string
	}{
		{nil, "     "},
		{[]float64{0, 0}, "   ▁▁"},
		{[]float64{1, 1000, 500}, "  ▂█▅"},
		{[]float64{9, 9, 0, 1, 2, 3, 4}, "▁▃▅▇█"},
	} {
		if got := g.sparkline(tt.values, 5); got != tt.want {
			t.Errorf("%v is %q, not %q", tt.values, got, tt.want)
		}
	}
}

func TestTheSnapshotIsTextForScripts(t *testing.T) {
	m := begun()
	m.state.tunnels[strings.Repeat("4", 16)].User = "a builder"
	m.rebuild()
	var got strings.Builder
	if err := m.print(&got); err != nil {
		t.Fatal(err)
	}
	const want = `sluice v1.2.3 on relay, up 3d03h
down 7.50MB/s, up 2.50kB/s
tunnels 4/20000
refused 4 (rule_denied 3, not_public 1)

CLIENT       USER         DESTINATION                          RULE         PROTO     AGE   DOWN     UP DOWN/S   UP/S
192.0.2.10   -            production.cloudflare.docker.com:443 docker-hosts connect 3m00s 6.00MB 2.00kB 6.00MB 2.00kB
192.0.2.7    -            registry-1.docker.io:443             docker-hosts connect    5s 1.50MB   500B 1.50MB   500B
2001:db8::17 -            files.pythonhosted.org:443           docker-hosts connect 2d01h     0B     0B     0B     0B
198.51.100.4 a\x20builder deb.debian.org:443                   docker-hosts socks5  2h00m     0B     0B     0B     0B
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkTick is a second of a full proxy: 5,000 tunnels, all of which move.
func BenchmarkTick(b *testing.B) {
	m := newModel("127.0.0.1:9128", "relay", true)
	start := &adminclient.Start{Time: noon}
	for i := range 5000 {
		id := fmt.Sprintf("%016x", i)
		start.Tunnels = append(start.Tunnels, live(id, fmt.Sprintf("192.0.2.%d", i%250), "registry-1.docker.io", time.Minute))
	}
	m.event(start)
	n := int64(0)
	for b.Loop() {
		n++
		tick := &adminclient.Tick{Time: noon.Add(time.Duration(n) * time.Second)}
		for i, t := range start.Tunnels {
			tick.Moved = append(tick.Moved, adminclient.Moved{ID: t.ID, Down: n * int64(i)})
		}
		m.event(tick)
		m.draw(120, 40)
	}
}
