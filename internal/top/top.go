// Package top shows on a terminal what passes through a running proxy now: the
// tunnels with their rates, clients, destinations and refusals, kept up to date by
// the admin interface's feed of events.
//
// What is shown and what keys do (model, list, view) knows no terminal and no
// network, and is tested as text. The terminal is github.com/gdamore/tcell's: the
// proxy carries it in its own binary, and of the libraries for terminals it weighs
// least there (360 kB for one word on the screen; tview 1,250, Bubble Tea 1,560).
// When the proxy starts it makes tables of 110 kB, and runs nothing. A grid of cells
// of which what has changed is sent is all that a list needs.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"sluice/internal/adminclient"
)

// The pauses between attempts to reach a proxy that does not answer.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
)

// askTime is how long an answer to a key may take.
const askTime = 10 * time.Second

// NoTerminal tells that there is nothing to draw on.
type NoTerminal struct{ Why string }

func (e *NoTerminal) Error() string {
	return e.Why + "; sluice top --once prints what passes now as plain text"
}

// Run shows the proxy on the terminal that is standard input and output, until the
// user quits or ctx ends. The error is *NoTerminal if there is none that it can
// use.
func Run(ctx context.Context, client *adminclient.Client) error {
	switch why := dumb(); {
	case !term.IsTerminal(int(os.Stdout.Fd())):
		return &NoTerminal{"standard output is not a terminal"}
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return &NoTerminal{"standard input is not a terminal"}
	case why != "":
		return &NoTerminal{why}
	}
	screen, err := openScreen()
	if err != nil {
		return err
	}
	defer screen.Fini() // even on a panic, or the shell would not echo

	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	news := make(chan news)
	wg.Go(func() { follow(ctx, client, news) })
	a := asker{ctx: ctx, client: client, answers: make(chan answer), wg: &wg}
	d := &display{
		model:  newModel(client.Address(), hostOf(client.Address()), screen.CharacterSet() == "UTF-8"),
		screen: screen, ask: a.ask,
	}
	d.loop(ctx, news, a.answers)
	return nil
}

// news is the next event, or why there are none.
type news struct {
	event adminclient.Event
	err   error
}

// follow passes on the feed until ctx ends, and opens it anew whenever it ends.
func follow(ctx context.Context, client *adminclient.Client, to chan<- news) {
	pause := firstPause
	for {
		err := relay(ctx, client, to, func() { pause = firstPause })
		select {
		case to <- news{err: inWords(err)}:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, lastPause)
	}
}

func inWords(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the proxy has ended the feed")
	}
	return err
}

func relay(ctx context.Context, client *adminclient.Client, to chan<- news, begun func()) error {
	feed, err := client.Feed(ctx)
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		ev, err := feed.Next()
		if err != nil {
			return err
		}
		begun()
		select {
		case to <- news{event: ev}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// asker sends requests and brings the answers.
type asker struct {
	ctx     context.Context
	client  *adminclient.Client
	answers chan answer
	wg      *sync.WaitGroup
	looking sync.Mutex // held while a tunnel is looked up
}

// ask sends a request. While a tunnel is being looked up no other is: the next
// tick asks again.
func (a *asker) ask(r *request) {
	if r.kind == lookUp && !a.looking.TryLock() {
		return
	}
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, askTime)
		got := r.do(ctx, a.client)
		cancel()
		if r.kind == lookUp {
			a.looking.Unlock()
		}
		select {
		case a.answers <- got:
		case <-a.ctx.Done():
		}
	})
}

// hostOf is the machine that an admin address is on: this one for most.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	ip, notIP := netip.ParseAddr(host)
	switch {
	case strings.HasPrefix(address, "unix:"), host == "", host == "localhost":
	case notIP == nil && (ip.IsLoopback() || ip.IsUnspecified()):
	case err == nil:
		return host
	}
	name, err := os.Hostname()
	if err != nil {
		return address
	}
	return name
}

// firstTick is how long Once waits for the proxy's first figures, which come each
// second.
const firstTick = 5 * time.Second

// Once writes what passes now as plain text, without colours and uncut.
func Once(ctx context.Context, client *adminclient.Client, w io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, firstTick,
		fmt.Errorf("%s tells nothing within %v", client.Address(), firstTick))
	defer cancel()
	feed, err := client.Feed(ctx)
	if err != nil {
		return err
	}
	defer feed.Close()
	m := newModel(client.Address(), hostOf(client.Address()), true)
	// The start has no rates yet; the first tick has.
	for ticked := false; !ticked; {
		ev, err := feed.Next()
		if err != nil {
			return inWords(err)
		}
		m.event(ev)
		_, ticked = ev.(*adminclient.Tick)
	}
	return m.print(w)
}
