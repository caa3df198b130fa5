//go:build linux

package attacks

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

// Bounds of the relay that is starved. They are much lower than anybody would set
// them, so that the attacks need neither many connections nor much time.
const (
	handshake  = 3 * time.Second
	idle       = 2 * time.Second
	places     = 40  // tunnels and requests of one client at once
	handshakes = 100 // connections without a tunnel of one client at once
)

// attack is a run of slowhttptest. It opens its connections at once and, as long
// as the proxy lets it, holds each of them to the end of its time. Beside them it
// has one by which it looks whether the proxy still answers.
type attack struct {
	name     string
	from     func(*bench) *lab.Host
	args     []string
	conns    int
	outcomes map[string]int // records of each outcome at least
	closes   bool           // the tool sees that the proxy has ended them all before it does
}

const attackTime = 8 * time.Second

var attacks = []attack{
	{name: "slow headers of a stranger", from: func(b *bench) *lab.Host { return b.stranger }, conns: 3 * handshakes, closes: true,
		args:     []string{"-H", "-u", "http://" + site + "/hello"},
		outcomes: map[string]int{"malformed": handshakes - 2}}, // not complete in time; those beyond are reset
	{name: "slow headers of a client", from: func(b *bench) *lab.Host { return b.user }, conns: 3 * handshakes, closes: true,
		args:     []string{"-H", "-u", "http://" + site + "/hello"},
		outcomes: map[string]int{"malformed": handshakes - 2}},
	{name: "slow bodies", from: func(b *bench) *lab.Host { return b.user }, conns: 2 * places,
		args:     []string{"-B", "-s", "8192", "-x", "10", "-u", "http://" + site + "/hello"},
		outcomes: map[string]int{"client_limit": places, "client_gone": places}},
	// Its connections are cut when nobody has read for the idle time. It does not
	// notice, for it does not read.
	{name: "slow reads", from: func(b *bench) *lab.Host { return b.user }, conns: 2 * places,
		args:     []string{"-X", "-n", "1", "-z", "8", "-w", "256", "-y", "512", "-u", "http://" + site + "/large"},
		outcomes: map[string]int{"client_limit": places, "timeout": places}},
}

// TestSlowClientsStarveNobody lets each attack run while another client goes on
// with its requests, each of which has to be answered. In the end no connection of
// the attack is left, towards the client or the origin.
func TestSlowClientsStarveNobody(t *testing.T) {
	more := fmt.Sprintf("[timeouts]\nhandshake = %q\nidle = %q\n[limits]\ntunnels = %d\nhandshakes = %d\n[server]\nmax_handshakes = %d\n",
		handshake, idle, places, handshakes, 10*handshakes)
	b := newBench(t, more, "slowhttptest", "curl", "ss")
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			seen := len(b.sluice.Records())
			from := a.from(b)
			args := append([]string{"-c", fmt.Sprint(a.conns), "-r", fmt.Sprint(a.conns), "-i", "1",
				"-l", fmt.Sprint(int(attackTime.Seconds())), "-d", b.addr(httpPort)}, a.args...)
			tool := from.Start(t, "slowhttptest", args...)
			served := b.serveMeanwhile(t, tool)
			end := endOf(tool.Output())
			if closed := strings.Contains(end, "No open connections left"); closed != a.closes {
				t.Errorf("slowhttptest says %q", end)
			}
			for outcome, least := range a.outcomes {
				b.wantRecords(t, seen, least, map[string]string{"outcome": outcome, "client": from.Addr().String()})
			}
			if n := len(b.sluice.Records()) - seen - served; a.closes && n > handshakes+2 {
				t.Errorf("%d connections of the attack were served", n)
			}
			b.nothingLeft(t)
			t.Logf("%d requests of the other client were answered; slowhttptest ended with %q", served, end)
		})
	}
}

// serveMeanwhile sends the requests of another client until the tool has ended.
func (b *bench) serveMeanwhile(t *testing.T, tool *lab.Daemon) (served int) {
	t.Helper()
	for {
		select {
		case <-tool.Ended():
			if served < 3 {
				t.Errorf("only %d requests were made: %s", served, tool.Output())
			}
			return served
		case <-time.After(200 * time.Millisecond):
		case <-time.After(2 * attackTime):
			t.Fatal("slowhttptest does not end")
		}
		r := run(t, b.member, "", "curl", "-sS", "-m", "5", "-x", "http://"+member+":"+password+"@"+b.addr(httpPort), "http://"+site+"/hello")
		if r.out != greeting {
			t.Fatalf("after %d requests: %s", served, r)
		}
		served++
	}
}

// endOf is what slowhttptest says of its end, without its colours.
func endOf(output string) string {
	plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(output, "")
	_, end, _ := strings.Cut(plain, "Exit status:")
	return strings.TrimSpace(end)
}

// nothingLeft waits until the relay has no connection.
func (b *bench) nothingLeft(t *testing.T) {
	t.Helper()
	var left string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		left = run(t, b.relay, "", "ss", "-Htn", "state", "all", "exclude", "listening", "exclude", "time-wait").out
		if strings.TrimSpace(left) == "" {
			return
		}
	}
	t.Errorf("connections are left:\n%s", left)
}
