package adminclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Event is *Start, *Tick or *Reload.
type Event interface{ event() }

func (*Start) event()  {}
func (*Tick) event()   {}
func (*Reload) event() {}

// silence is how long the feed, which ticks each second, may say nothing before
// it counts as lost: a machine can sleep, and a process be stopped.
const silence = 10 * time.Second

// Feed is an open feed of events. Close must follow.
type Feed struct {
	body   io.Closer
	events *reader
	mute   *time.Timer // cancels the request
	stop   context.CancelCauseFunc
	ctx    context.Context
	begun  bool // the start was read
}

var errSilent = fmt.Errorf("no news for %v", silence)

// Feed opens GET /events, until ctx ends. The first event is a *Start.
func (c *Client) Feed(ctx context.Context) (*Feed, error) {
	ctx, stop := context.WithCancelCause(ctx)
	mute := time.AfterFunc(silence, func() { stop(errSilent) })
	resp, err := c.do(ctx, "GET", "/events", nil)
	if err != nil {
		mute.Stop()
		defer stop(nil)
		return nil, cause(ctx, err)
	}
	return &Feed{body: resp.Body, events: newReader(resp.Body), mute: mute, stop: stop, ctx: ctx}, nil
}

// Next waits for the next event. Events that it does not know it leaves out. The
// error is io.EOF when the proxy ended the feed.
func (f *Feed) Next() (Event, error) {
	for {
		name, data, err := f.events.next()
		if err != nil {
			return nil, cause(f.ctx, err)
		}
		f.mute.Reset(silence)
		ev, err := decode(name, data)
		if err != nil {
			return nil, err
		}
		if _, starts := ev.(*Start); starts {
			f.begun = true
		}
		if ev != nil && !f.begun {
			return nil, fmt.Errorf("the feed begins with event %s", name)
		}
		if ev != nil {
			return ev, nil
		}
	}
}

// Close ends the feed.
func (f *Feed) Close() {
	f.mute.Stop()
	f.stop(nil)
	f.body.Close()
}

// cause is why the context was cancelled, if it was: err only tells how that
// looked from the connection.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// decode returns nil, nil for an event that it does not know.
func decode(name string, data []byte) (Event, error) {
	var ev Event
	switch name {
	case "start":
		ev = new(Start)
	case "tick":
		ev = new(Tick)
	case "reload":
		ev = new(Reload)
	default:
		return nil, nil
	}
	if err := json.Unmarshal(data, ev); err != nil {
		return nil, fmt.Errorf("event %s: %w", name, err)
	}
	for _, list := range transactions(ev) {
		if slices.Contains(list, nil) {
			return nil, fmt.Errorf("event %s: null in a list of transactions", name)
		}
	}
	return ev, nil
}

// transactions returns the lists of them that an event has.
func transactions(ev Event) [][]*Transaction {
	switch ev := ev.(type) {
	case *Start:
		return [][]*Transaction{ev.Tunnels, ev.Refusals}
	case *Tick:
		return [][]*Transaction{ev.Opened, ev.Refused}
	}
	return nil
}

// reader takes a text/event-stream apart: HTML Living Standard, 9.2.6.
type reader struct {
	r    *bufio.Reader
	line []byte
}

func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the name and data of the next event that has data.
func (s *reader) next() (name string, data []byte, err error) {
	for {
		line, err := s.readLine(maxAnswer - len(data))
		if err != nil {
			return "", nil, err // an event without its empty line is not whole
		}
		field, value, _ := bytes.Cut(line, []byte(":")) // a comment's field is empty
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && len(data) > 0:
			return name, data[:len(data)-1], nil
		case len(line) == 0:
			name = ""
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			data = append(append(data, value...), '\n')
		}
	}
}

// readLine returns a line without its end, which is LF or CRLF.
func (s *reader) readLine(longest int) ([]byte, error) {
	s.line = s.line[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		s.line = append(s.line, part...)
		if len(s.line) > longest {
			return nil, fmt.Errorf("an event has more than %d bytes", maxAnswer)
		}
		if err == nil {
			return bytes.TrimSuffix(s.line[:len(s.line)-1], []byte("\r")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
