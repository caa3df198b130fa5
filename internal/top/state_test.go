package top

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/adminclient"
)

func TestTicksKeepTheTunnelsUpToDate(t *testing.T) {
	m := begun()
	s := &m.state
	one := s.tunnels["1111111111111111"]
	if one.Up != 500 || one.rateDown != 1.5e6 || one.rateUp != 500 {
		t.Errorf("after a second: %d bytes up, %g and %g bytes/s", one.Up, one.rateUp, one.rateDown)
	}
	fresh := live("5555555555555555", "192.0.2.9", "", 0)
	m.event(&adminclient.Tick{
		Time: noon.Add(2 * time.Second), Draining: true, Count: 4,
		Opened: []*adminclient.Transaction{fresh},
		Moved:  []adminclient.Moved{{ID: "2222222222222222", Up: 2000, Down: 7_000_000}, {ID: "unheard of", Up: 1}},
		Closed: []string{"3333333333333333", "never seen"},
	})
	if one.rateDown != 0 || one.Down != 1_500_000 {
		t.Errorf("a tunnel that rests: %g bytes/s, %d bytes", one.rateDown, one.Down)
	}
	if r := s.tunnels["2222222222222222"].rateDown; r != 500_000 {
		t.Errorf("1 MB in two seconds are %g bytes/s", r)
	}
	if s.tunnels["3333333333333333"] != nil || s.tunnels["5555555555555555"] == nil || len(s.tunnels) != 4 || !s.draining {
		t.Errorf("%+v", s)
	}
	// What became known since is told by the same event.
	m.event(&adminclient.Tick{Time: noon.Add(3 * time.Second),
		Opened: []*adminclient.Transaction{live("5555555555555555", "192.0.2.9", "example.com", 0)}})
	if got := s.tunnels["5555555555555555"].Host; got != "example.com" || len(s.tunnels) != 4 {
		t.Errorf("its destination is %q", got)
	}
}

func TestANewStartForgetsTheOldProxy(t *testing.T) {
	m := begun()
	m.disconnected(errors.New("dial tcp 127.0.0.1:9128: connect: connection refused"))
	if text := m.screen(120, 20); !strings.Contains(text, "no connection since 12:00:00, trying again: dial tcp") || !strings.Contains(text, "docker.io") {
		t.Errorf("the last that was seen stays, and why there is no more:\n%s", text)
	}
	before := len(m.state.historyUp)
	m.event(&adminclient.Start{Time: noon, Version: "v2", Tunnels: []*adminclient.Transaction{live("9999999999999999", "192.0.2.1", "h", 0)}})
	if text := m.screen(120, 20); m.order() != "9" || strings.Contains(text, "no connection") || !strings.Contains(text, "v2") {
		t.Errorf("%s", text)
	}
	if n, m := len(m.state.historyUp), len(m.state.historyDown); before == 0 || n != before || m != before {
		t.Errorf("of the curves %d and %d ticks are left of %d", n, m, before)
	}
}

func TestAScanDoesNotFillTheMemory(t *testing.T) {
	m := begun()
	for i := range 10 {
		var scan []*adminclient.Transaction
		for j := range 100 {
			scan = append(scan, refused(fmt.Sprintf("%016d", 1000*i+j), -i, "192.0.2.1", "x", "rule_denied"))
		}
		m.event(&adminclient.Tick{Time: noon.Add(time.Duration(i+1) * time.Second), Refused: scan})
	}
	if n := len(m.state.refusals); n != keptRefusals {
		t.Errorf("%d refusals are kept", n)
	}
	if len(m.state.historyUp) != 11 {
		t.Errorf("%d ticks are remembered", len(m.state.historyUp))
	}
	for i := range 200 {
		m.event(&adminclient.Tick{Time: noon.Add(time.Minute + time.Duration(i)*time.Second)})
	}
	if len(m.state.historyUp) != historyLength {
		t.Errorf("%d ticks are remembered", len(m.state.historyUp))
	}
}

// However fast one client's refusals come, those of others stay in sight.
func TestAScanHidesNoRefusalOfOthers(t *testing.T) {
	m := begun()
	m.event(&adminclient.Tick{Time: noon, Refused: []*adminclient.Transaction{
		refused("000000000000000a", 0, "192.0.2.7", "x", "rule_denied"), refused("000000000000000b", 0, "2001:db8:7::1", "x", "rule_denied")}})
	for i := range 10 {
		var scan []*adminclient.Transaction
		for j := range 50 {
			scan = append(scan, refused(fmt.Sprintf("%016d", 100*i+j), i, "203.0.113.66", "x", "rule_denied"),
				refused(fmt.Sprintf("%016d", 100*i+j+50), i, fmt.Sprintf("2001:db8::%d:%d", i, j), "x", "rule_denied"))
		}
		m.event(&adminclient.Tick{Time: noon.Add(time.Duration(i+1) * time.Second), Refused: scan})
	}
	list := m.state.refusals
	for _, id := range []string{"000000000000000a", "000000000000000b"} {
		if !slices.ContainsFunc(list, func(t *adminclient.Transaction) bool { return t.ID == id }) {
			t.Errorf("of %d refusals none is %s", len(list), id)
		}
	}
	if len(list) != keptRefusals {
		t.Errorf("%d are kept", len(list))
	}
	if list[0].ID != "0000000000000900" {
		t.Errorf("the latest is %s", list[0].ID)
	}
}
