//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Kinds of HTTP exchanges. What their ends do is told by their names, not by
// functions, for several of them share a connection.
const (
	httpSized      = "sized"
	httpChunked    = "chunked"
	httpUntilClose = "until close"
	httpDropped    = "kept connection dropped" // by the origin, without a word, after its answer
	httpShort      = "answer ends early"
	httpReset      = "answer is reset"
	httpLeft       = "client leaves in the answer"
)

func httpKinds() []*kind {
	return []*kind{
		{name: httpSized, weight: 20, up: 300_000, down: 1_000_000},
		{name: httpChunked, weight: 15, up: 300_000, down: 1_000_000},
		{name: httpUntilClose, weight: 5, down: 500_000},
		{name: httpDropped, weight: 3, down: 20_000},
		{name: httpShort, weight: 4, down: 500_000, ending: cut},
		{name: httpReset, weight: 4, down: 500_000, ending: cut},
		{name: httpLeft, weight: 4, down: 3_000_000, ending: cut},
	}
}

// counted counts what is read from a connection.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// wire reads messages of HTTP and tells how many bytes each one took.
type wire struct {
	in counted
	*bufio.Reader
}

func newWire(c *net.TCPConn) *wire {
	w := &wire{in: counted{r: c}}
	w.Reader = bufio.NewReader(&w.in)
	return w
}

// offset is how many bytes have been used so far.
func (w *wire) offset() int64 { return w.in.n - int64(w.Buffered()) }

// runHTTP is one connection of a client with some requests, each a tunnel of its
// own in the book.
func (s *runner) runHTTP(from netip.Addr, r *rand.Rand) {
	conn, err := dial(from, s.proxy.listener)
	if err != nil {
		s.unmet.Add(1)
		return
	}
	defer conn.Close()
	w := newWire(conn)
	host, dropped := "", false
	for range 1 + r.IntN(6) {
		t := s.begin(pick(s.httpKinds, r), byHTTP, r)
		t.afterDrop = dropped
		dropped = t.kind.name == httpDropped
		if host == "" {
			host = destination(t, r.IntN(4) == 0) // the connection's: an address is that of its first
		}
		again := s.exchange(t, conn, w, fmt.Sprintf("%s:%d", host, s.origins.http), r)
		if !again {
			return
		}
	}
}

// exchange makes one request and reads its answer. It tells whether the
// connection can take another.
func (s *runner) exchange(t *tunnel, conn *net.TCPConn, w *wire, host string, r *rand.Rand) bool {
	e := newEnd(s.noise, t, conn, false)
	t.client.here = true
	before := w.offset()
	t.client.err = both(func() error { return request(t, e, host, r) }, func() error { return s.answered(t, e, w) })
	t.client.of(e)
	t.client.raw = w.offset() - before
	if t.connected {
		s.meet(t)
	}
	return t.connected && t.client.err == nil && t.kind.ending == clean && !t.last
}

// request writes a request with its body.
func request(t *tunnel, e *end, host string, r *rand.Rand) error {
	method, framing := "GET", ""
	chunked := t.up > 0 && r.IntN(2) == 0
	switch {
	case chunked:
		method, framing = "POST", "Transfer-Encoding: chunked\r\n"
	case t.up > 0:
		method, framing = "POST", fmt.Sprintf("Content-Length: %d\r\n", t.up)
	}
	head := fmt.Sprintf("%s http://%s/%d HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, host, t.number, host, framing)
	if _, err := e.conn.Write([]byte(head)); err != nil {
		return err
	}
	return content(e, t.up, chunked)
}

// content writes n bytes of an end's stream as the body of a message.
func content(e *end, n int64, chunked bool) error {
	if !chunked {
		return e.send(n)
	}
	for n > 0 {
		m := min(n, 1+e.part(2*pieces))
		if _, err := fmt.Fprintf(e.conn, "%x\r\n", m); err != nil {
			return err
		}
		if err := e.send(m); err != nil {
			return err
		}
		if _, err := io.WriteString(e.conn, "\r\n"); err != nil {
			return err
		}
		n -= m
	}
	_, err := io.WriteString(e.conn, "0\r\n\r\n")
	return err
}

// answered reads the answer to a request.
func (s *runner) answered(t *tunnel, e *end, w *wire) error {
	resp, err := http.ReadResponse(w.Reader, nil)
	t.answered = time.Now()
	if err != nil {
		if t.kind.ending == cut && !isTimeout(err) {
			t.answered = time.Time{}
			return nil // its head did not come through
		}
		return fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	t.status, t.last = resp.StatusCode, resp.Close
	e.r = resp.Body
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return e.refusedBy(t, string(text))
	}
	t.connected = true
	switch t.kind.name {
	case httpShort, httpReset:
		return e.recvCutBody(t.down)
	case httpLeft:
		if err := e.recv(t.down / 2); err != nil {
			return err
		}
		return e.reset()
	}
	return e.recvAll(t.down)
}

// refusedBy judges an answer of Sluice's own.
func (e *end) refusedBy(t *tunnel, text string) error {
	if t.kind.ending == cut {
		return nil // 502 is right for an answer whose head did not come
	}
	return errRefused{t.status, strings.TrimSpace(text)}
}

// errRefused is an answer of Sluice's own where there should be one of the origin.
type errRefused struct {
	status int
	text   string
}

func (e errRefused) Error() string { return fmt.Sprintf("%d %s", e.status, e.text) }

// recvCutBody receives a body that must not look whole.
func (e *end) recvCutBody(whole int64) error {
	err := e.recvAll(whole)
	if err == nil {
		return errors.New("an answer that was cut off looks whole")
	}
	if isTimeout(err) || e.spoiled {
		return err
	}
	return nil
}

// serveHTTP plays the origin of requests.
func (o *origins) serveHTTP(c *net.TCPConn) {
	w := newWire(c)
	for {
		_ = c.SetDeadline(time.Now().Add(patience))
		before := w.offset()
		req, err := http.ReadRequest(w.Reader)
		if err != nil {
			return // the end of the connection
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(req.URL.Path, "/"), 10, 32)
		t := o.book.find(uint32(n))
		if err != nil || t == nil || t.way != byHTTP {
			o.strangers.Add(1)
			return
		}
		if !o.serveRequest(t, c, w, req, before) {
			return
		}
	}
}

// serveRequest serves one request, and tells whether the connection goes on.
func (o *origins) serveRequest(t *tunnel, c *net.TCPConn, w *wire, req *http.Request, before int64) bool {
	defer t.done()
	e := newEnd(o.noise, t, c, true)
	e.r = req.Body
	t.origin.here = true
	err := e.recvAll(t.up)
	t.origin.raw += w.offset() - before // += : a request may come again on another connection
	if err == nil {
		err = reply(t, e)
	}
	t.origin.of(e)
	if t.kind.ending == clean {
		t.origin.err = err
	}
	return err == nil && t.kind.ending == clean && t.kind.name != httpUntilClose && t.kind.name != httpDropped
}

// reply writes the answer.
func reply(t *tunnel, e *end) error {
	head, n := fmt.Sprintf("Content-Length: %d\r\n", t.down), t.down
	switch t.kind.name {
	case httpChunked:
		head = "Transfer-Encoding: chunked\r\n"
	case httpUntilClose:
		head = "Connection: close\r\n"
	case httpShort, httpReset:
		n /= 2
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\n%s\r\n", head)
	if _, err := e.conn.Write(b.Bytes()); err != nil {
		return err
	}
	if err := content(e, n, t.kind.name == httpChunked); err != nil {
		return err
	}
	if t.kind.name == httpReset {
		return e.reset()
	}
	return nil
}
