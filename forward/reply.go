package forward

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// maxInterim bounds the interim answers to one request.
const maxInterim = 32

// uploadGrace is how long a final answer waits for the end of a request's body
// that is just being sent, before it announces that the connection will close.
const uploadGrace = 5 * time.Millisecond

// upload sends the rest of a request's body. If the client does not send all of
// it, nobody may take what the origin has for the whole.
func (x *exchange) upload(rest body) {
	defer close(x.uploaded)
	defer func() {
		if v := recover(); v != nil {
			x.uploadErr = errPanicked
			x.tx.Panicked(v)
		}
	}()
	x.uploadErr = x.up.copy(&x.s.in, rest, false, x.hop)
	switch {
	case x.uploadErr == nil:
		x.watchClient()
	case !relay.IsWriteError(x.uploadErr):
		abort(x.up.dst)
	}
}

// errPanicked stands in for the error of an upload that panicked.
var errPanicked = errors.New("panic")

// answer reads the origin's answers to the request and passes them on: any
// interim ones, and the final one with its content.
func (x *exchange) answer() error {
	h := newHead()
	defer h.free()
	for interim := 0; ; interim++ {
		b, err := x.s.out.head(false, h.statusLine)
		x.silent = interim == 0 && len(x.s.out.buffered()) == 0
		if errors.Is(err, errFull) {
			err = flawAnswerSize
		}
		if err == nil {
			err = h.readAnswer(b)
		}
		switch {
		case err != nil:
			return unexpected(err)
		case h.status == statusSwitching && (!x.upgrade || h.httpOrTLS):
			return flawSwitch // RFC 9110, section 7.8: only to what was asked for
		case h.status == statusSwitching:
			return x.switchProtocols(h, len(b))
		case h.status >= 200:
			return x.final(h, len(b))
		case interim == maxInterim:
			return flawInterim
		}
		if err := x.interim(h, len(b)); err != nil {
			return err
		}
	}
}

// interim passes a 1xx answer on to a client that knows them (RFC 9110, section
// 15.2).
func (x *exchange) interim(h *head, n int) error {
	b := h.appendAnswer(borrow(false)[:0], body{}, x.s.h.via[h.minor], false)
	defer func() { giveBack(b) }()
	x.s.out.skip(n)
	if x.http10 {
		return nil
	}
	return x.down.write(b)
}

// final passes the final answer on.
func (x *exchange) final(h *head, n int) error {
	x.watch.stop()
	how := h.answerBody(x.toHEAD)
	plain := how.kind == chunked && x.http10
	framed := how
	if plain {
		framed = body{kind: untilClose}
	}
	x.reusable = h.minor == 1 && !h.close && how.kind != untilClose
	x.last = x.last || framed.kind == untilClose || x.s.h.Gate.Draining() || !x.isUploaded(uploadGrace)
	b := h.appendAnswer(borrow(false)[:0], framed, x.s.h.via[h.minor], x.last)
	defer func() { giveBack(b) }()
	hop, status := h.named(), h.status
	x.s.out.skip(n)
	if c := sizedPart(how, x.s.out.buffered()); len(c) > 0 && cap(b)-len(b) >= len(c) {
		b = append(b, c...)
		how.length -= int64(len(c))
		x.s.out.skip(len(c))
	}
	x.status = status
	if err := x.down.write(b); err != nil {
		return err
	}
	return x.down.copy(&x.s.out, how, plain, hop)
}

// switchProtocols passes a 101 on and makes a tunnel of both connections.
func (x *exchange) switchProtocols(h *head, n int) error {
	s := x.s
	x.watch.stop()
	b := h.appendAnswer(nil, body{}, s.h.via[h.minor], false)
	s.out.skip(n)
	x.status, x.last = statusSwitching, true
	if err := x.down.write(append(b, s.out.take()...)); err != nil {
		return err
	}
	if x.stall.stop() {
		return errStalled
	}
	o := s.origin
	s.origin, s.taken = nil, true
	x.tx.Relay(s.conn, o, s.in.take())
	return nil
}

// errStalled stands in when a stall is noticed without an error of a connection.
var errStalled = errors.New("no byte has moved")

// isUploaded tells whether the request has been sent as a whole; it waits for the
// end of a body at most so long.
func (x *exchange) isUploaded(wait time.Duration) bool {
	if x.uploaded == nil {
		return x.sendErr == nil
	}
	select {
	case <-x.uploaded:
		return x.uploadErr == nil
	default:
	}
	if wait <= 0 {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-x.uploaded:
		return x.uploadErr == nil
	case <-timer.C:
		return false
	}
}

// stopUpload ends sending the body, and waits for that.
func (x *exchange) stopUpload() {
	if x.uploaded == nil {
		return
	}
	x.stop()
	abort(x.up.dst)
	x.s.conn.SetReadDeadline(past)
	<-x.uploaded
	x.s.conn.SetReadDeadline(time.Time{})
}

// settle ends an exchange whose answer was passed on as a whole.
func (x *exchange) settle() {
	s := x.s
	sent := x.isUploaded(0)
	if !sent {
		x.last = true
		x.stopUpload()
	}
	if !sent || !x.reusable || x.last || len(s.out.buffered()) > 0 {
		s.dropOrigin()
	}
	x.tx.Finish(gate.Finish{Status: x.status})
	if x.last {
		s.linger()
	}
}

// mayRetry tells whether the request may be sent again: it met a kept connection
// that was closed before any byte of an answer, and doing it twice is doing it
// once (RFC 9110, section 9.2.2).
func (x *exchange) mayRetry(err error) bool {
	return x.reused && x.idempotent && x.body.kind == noBody && x.silent && x.status == 0 &&
		!x.watch.gone.Load() && (err == io.ErrUnexpectedEOF || isReset(err))
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// fail ends an exchange that came to nothing: by an answer of our own, if the
// client has none yet, else by a reset, so that it does not take a part for the
// whole.
func (x *exchange) fail(err error, cut bool) {
	x.last = true
	f := x.explain(err, cut)
	x.stopUpload()
	x.s.origin.Conn.SetLinger(0)
	x.s.dropOrigin()
	if x.status == 0 {
		x.s.refuse(x.tx, refusal{Error: f.Error, toHEAD: x.toHEAD})
		return
	}
	x.s.reset()
	x.tx.Finish(gate.Finish{Status: x.status, ClosedBy: f.by, How: f.how, Outcome: f.Kind, Err: f.Error})
}

// failure is why an exchange came to nothing, and who ended it.
type failure struct {
	*egress.Error
	by  track.Side
	how string
}

// explain finds out what an error of passing on the answer comes from.
func (x *exchange) explain(err error, cut bool) failure {
	if errors.Is(err, net.ErrClosed) && x.uploaded != nil {
		<-x.uploaded // it has closed the connection, or both were
	}
	var f flaw
	to := x.host.Join(x.port)
	switch {
	case cut:
		return failure{&egress.Error{Kind: egress.Timeout, Sentence: to + " sent nothing for " + x.stall.idle.String(), Err: err},
			track.Sluice, relay.ByIdle}
	case x.watch.gone.Load() || relay.IsWriteError(err):
		return clientGone(err)
	case x.uploadFailed() && errors.As(x.uploadErr, &f):
		return failure{malformed(f), track.Client, relay.ByError}
	case x.uploadFailed():
		return clientGone(x.uploadErr)
	case errors.As(err, &f):
		return failure{x.protocol("the answer of "+to+" cannot be read: "+string(f), nil), track.Origin, relay.ByError}
	case x.silent && x.status == 0:
		return failure{x.protocol(to+" closed the connection before it answered", err), track.Origin, how(err)}
	}
	return failure{x.protocol("the answer of "+to+" ended early", err), track.Origin, how(err)}
}

// uploadFailed tells whether the client is the reason that its request's body was
// not sent.
func (x *exchange) uploadFailed() bool {
	if x.uploaded == nil {
		return false
	}
	select {
	case <-x.uploaded:
		return x.uploadErr != nil && !relay.IsWriteError(x.uploadErr)
	default:
		return false
	}
}

func (x *exchange) protocol(sentence string, err error) *egress.Error {
	return &egress.Error{Kind: egress.OriginProtocol, Sentence: sentence, Err: err}
}

func clientGone(err error) failure {
	return failure{&egress.Error{Kind: egress.ClientGone, Sentence: "the client left before it had the whole answer", Err: err},
		track.Client, relay.ByReset}
}

func how(err error) string {
	switch {
	case isReset(err):
		return relay.ByReset
	case err == io.ErrUnexpectedEOF:
		return relay.ByFIN
	}
	return relay.ByError
}
