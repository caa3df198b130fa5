package forward

import (
	"net"
	"sync"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/relay"
)

// exchange is one request in absolute-form and its answer.
type exchange struct {
	s    *session
	tx   *gate.Transaction
	head []byte // the request's head as the origin gets it; borrowed
	host acl.Host
	port uint16
	body body     // of the request
	hop  []string // fields that Connection named

	toHEAD     bool
	http10     bool // the client speaks HTTP/1.0
	idempotent bool // RFC 9110, section 9.2.2
	upgrade    bool // another protocol was asked for
	last       bool // no further request is served on the connection

	reused    bool // the connection to the origin has served a request before
	up, down  lane
	sendErr   error         // of writing the request's head
	uploaded  chan struct{} // closed when the rest of the body is sent; nil: there was none
	uploadErr error         // why it was not; valid then
	stop      func()        // ends waits for the budgets
	watch     watch
	stall     stall

	silent   bool // the origin has not sent a byte
	status   int  // of the answer whose head was begun to send to the client; 0: none
	reusable bool // the origin keeps its connection
}

// exchange serves one request in absolute-form, whose head of n bytes is
// buffered. It tells whether another request may follow.
func (s *session) exchange(tx *gate.Transaction, h *head, n int) bool {
	x := &exchange{s: s, tx: tx}
	e := x.prepare(h)
	ends, trace := h.endsHere(), string(h.method) == "TRACE"
	s.in.skip(n)
	defer func() { giveBack(x.head) }()
	if e != nil {
		return x.refuse(e)
	}
	if ends {
		if e := tx.Decide(); e != nil {
			return x.refuse(e)
		}
		x.reflect(trace)
		return false
	}
	for {
		if e := x.attach(); e != nil {
			return x.refuse(e)
		}
		if again := x.run(); !again {
			return !x.last
		}
	}
}

// prepare reads what the request is, makes the destination known to the
// transaction, and writes the head for the origin.
func (x *exchange) prepare(h *head) *egress.Error {
	x.toHEAD = string(h.method) == "HEAD"
	x.http10 = h.minor == 0
	x.body = h.body()
	// A proxy keeps no connection with an HTTP/1.0 client (RFC 9112, section 9.3).
	x.last = x.http10 || h.close || x.s.h.Gate.Draining()
	switch string(h.method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		x.idempotent = true
	}
	t, err := parseAbsolute(h.target)
	x.tx.Request(recorded(h.method), t.record())
	if err == nil {
		x.tx.ToHost(t.host, t.port)
		err = h.checkExchange()
	}
	if err != nil {
		x.last = true
		return gate.Malformed(err.Error())
	}
	x.host, x.port = t.host, t.port
	if e := x.s.admit(x.tx, h, t); e != nil {
		return e
	}
	if h.endsHere() {
		return nil
	}
	x.hop = h.named()
	x.upgrade = h.upgrade && h.protocols && !h.httpOrTLS && !x.http10 && x.body.kind == noBody
	x.head = h.appendRequest(borrow(false)[:0], sent{target: t, upgrade: x.upgrade, last: x.last, via: x.s.h.via[h.minor]})
	return nil
}

// checkExchange holds what a request in absolute-form must have.
func (h *head) checkExchange() error {
	switch {
	case h.hosts > 1:
		return flawHosts
	case h.hosts == 0 && h.minor == 1:
		return flawNoHost // RFC 9112, section 3.2
	case len(h.host) > 0:
		// What it says is of no account, for the target says it. That it can be
		// read at all is.
		if _, _, err := splitAuthority(h.host); err != nil {
			return flawHost
		}
	}
	if string(h.method) == "TRACE" && h.body().kind != noBody {
		return flawTraceBody
	}
	return nil
}

// endsHere tells whether Max-Forwards makes this proxy the last recipient
// (RFC 9110, section 7.6.2).
func (h *head) endsHere() bool {
	m := string(h.method)
	return h.forwards == 0 && (m == "OPTIONS" || m == "TRACE")
}

// reflect answers as the last recipient. What TRACE would send back may hold
// credentials, so it is not implemented.
func (x *exchange) reflect(trace bool) {
	x.last = true
	status, line := 200, "HTTP/1.1 200 OK"
	if trace {
		status, line = 501, "HTTP/1.1 501 Not Implemented"
	}
	x.s.conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, err := x.s.conn.Write([]byte(line + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	x.tx.Finish(gate.Finish{Status: status, Err: err})
	x.s.linger()
}

// refuse answers with an error. Only a request for credentials leaves the
// connection open, for the client will ask again, and only when the request can
// have no rest that is still to come.
func (x *exchange) refuse(e *egress.Error) (another bool) {
	keep := e.Kind == egress.AuthRequired && !x.last && x.body.kind == noBody
	x.s.refuse(x.tx, refusal{Error: e, toHEAD: x.toHEAD, keep: keep})
	return keep
}

// attach finds the connection to send the request on: the one of the request
// before, if that went to the same destination under the same rule and has been
// silent since, or a new one.
func (x *exchange) attach() *egress.Error {
	s := x.s
	x.reused = false
	if s.origin != nil {
		fits, e := x.tx.Reuse(s.origin)
		if fits && e == nil && s.out.quiet() {
			x.reused = true
			return nil
		}
		s.dropOrigin()
		if e != nil {
			return e
		}
	}
	o, e := s.dial(x.tx)
	if e != nil {
		return e
	}
	s.origin = o
	s.out.reset(o.Conn)
	return nil
}

// run sends the request and passes the answer on. It tells whether the request is
// to be sent again, on another connection.
func (x *exchange) run() (again bool) {
	s, origin := x.s, x.s.origin.Conn
	up, down := x.tx.Counters()
	upBudget, downBudget := s.origin.Budgets()
	stop := x.stopper()
	x.up = lane{origin, relay.Meter{Budget: upBudget, Count: up, Stop: stop}}
	x.down = lane{s.conn, relay.Meter{Budget: downBudget, Count: down, Stop: stop}}
	x.stall = stall{tx: x.tx, idle: s.h.Gate.Policy().Idle, conns: [2]*net.TCPConn{s.conn, origin}, up: up, down: down}
	x.tx.OnKill(func() { x.stop(); abort(s.conn); abort(origin) })
	x.watch = watch{}
	x.stall.start()
	over := false
	defer func() {
		if !over {
			x.abandon()
		}
	}()
	x.send()
	err := x.answer()
	over = true
	if s.taken {
		return false
	}
	x.watch.stop()
	cut := x.stall.stop()
	x.tx.OnKill(nil)
	switch {
	case err == nil:
		x.settle()
		return false
	case !cut && x.mayRetry(err):
		s.dropOrigin()
		return true
	}
	x.fail(err, cut)
	return false
}

// abandon ends what else works on an exchange that panics, so that nothing reads
// from its connections any more.
func (x *exchange) abandon() {
	x.watch.stop()
	x.stall.stop()
	x.stopUpload()
}

// stopper makes what ends waits for budgets, for they may be longer than anybody
// should wait for the end of a process.
func (x *exchange) stopper() <-chan struct{} {
	c := make(chan struct{})
	x.stop = sync.OnceFunc(func() { close(c) })
	return c
}

// abort closes a connection by a reset: what the peer has is not the whole.
func abort(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// send writes the request's head, with what there is of a sized body behind it,
// and lets the rest follow while the answer is waited for: an origin may answer
// before it has the whole. That writing fails is no reason not to read an answer
// that may have come before.
func (x *exchange) send() {
	in, rest, first := &x.s.in, x.body, x.head
	if b := sizedPart(rest, in.buffered()); len(b) > 0 && cap(first)-len(first) >= len(b) {
		first = append(first, b...)
		rest.length -= int64(len(b))
		in.skip(len(b))
		if rest.length == 0 {
			rest = body{}
		}
	}
	if x.sendErr = x.up.write(first); x.sendErr != nil {
		return
	}
	if rest.kind == noBody {
		x.watchClient()
		return
	}
	x.uploaded = make(chan struct{})
	go x.upload(rest)
}

// watchClient ends the exchange when the client, which has sent its request,
// leaves before it has an answer.
func (x *exchange) watchClient() {
	x.watch.start(x.s, answerPatience, func() { abort(x.up.dst) })
}

// sizedPart returns what of b belongs to a sized body.
func sizedPart(how body, b []byte) []byte {
	if how.kind != sized {
		return nil
	}
	return b[:min(how.length, int64(len(b)))]
}
