package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// Transaction is one CONNECT, one SOCKS5 command or one HTTP request, from its
// head to its record. Its methods are called by one goroutine, in the order
// Login, To, Dial or Reuse, and one of Relay, Finish and Fail; Kill and Snapshot
// may be called by any.
type Transaction struct {
	gate     *Gate
	source   Source
	policy   *Policy
	req      acl.Request
	login    string // the hash that the user's password was checked against; "": none was
	decision acl.Decision
	tunnel   relay.Tunnel
	up, down atomic.Int64 // bytes of an HTTP exchange

	mu      sync.Mutex
	rec     track.Record
	origin  *Origin  // the last one dialled; it may have been closed, or kept for another request
	counted [2]int64 // bytes up and down that Uncounted has told of
	onKill  func()
	killed  string
	why     string // it was killed; "" when that is all there is to say
	done    bool
}

// ID returns the identifier that answers and records carry.
func (t *Transaction) ID() track.ID { return t.rec.ID }

// Counters returns what an HTTP exchange adds its relayed bytes to: client to
// origin, and back.
func (t *Transaction) Counters() (up, down *atomic.Int64) { return &t.up, &t.down }

// Request describes an HTTP request for the record: the path without query.
func (t *Transaction) Request(method, path string) {
	t.mu.Lock()
	t.rec.Method, t.rec.Path = method, path
	t.mu.Unlock()
}

// Login checks credentials and makes the user known to the rules. It waits no
// longer than a handshake may take, and checks nothing any more in a drain: a check
// that is under way cannot be ended.
func (t *Transaction) Login(user, password string) *egress.Error {
	if t.gate.refusesNew(t.source) {
		return errDraining()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if d := t.policy.Handshake; d > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, d)
		defer end()
	}
	t.OnKill(cancel)
	defer t.OnKill(nil)
	right, err := t.policy.Users.Check(ctx, limit.Key(t.rec.Client.Addr()), user, password)
	switch {
	case err != nil && t.howKilled() != "":
		return errKilled()
	case err != nil:
		return &egress.Error{Kind: egress.ClientLimit, Sentence: "too many passwords wait to be checked", RetryAfter: retryAfter, Err: err}
	case !right:
		return errLogin()
	}
	t.SetUser(user)
	t.mu.Lock()
	t.login = t.policy.Users.hashes[user]
	t.mu.Unlock()
	return nil
}

func errLogin() *egress.Error {
	return &egress.Error{Kind: egress.AuthRequired, Sentence: "the user or the password is wrong"}
}

// SetUser names a user that was checked on this connection before.
func (t *Transaction) SetUser(user string) {
	t.mu.Lock()
	t.rec.User = user
	t.mu.Unlock()
}

// To names the destination as the client wrote it: a name or an address, IPv6
// with or without brackets, and a port in digits.
func (t *Transaction) To(host, port string) *egress.Error {
	h, err := acl.ParseHost(host)
	if err != nil {
		return Malformed(err.Error())
	}
	p, err := acl.ParsePort(port)
	if err != nil {
		return Malformed(err.Error())
	}
	t.ToHost(h, p)
	return nil
}

// ToHost names the destination.
func (t *Transaction) ToHost(h acl.Host, port uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rec.Host, t.rec.Port = h.String(), port
	t.req = acl.Request{Client: t.rec.Client.Addr(), User: t.rec.User, Host: h, Port: port}
}

// Malformed is the error of a request that cannot be read. The sentence must not
// repeat what the client sent.
func Malformed(sentence string) *egress.Error {
	return &egress.Error{Kind: egress.Malformed, Sentence: sentence}
}

// decide asks the rules, and refuses what they deny. The user may have another
// password since it was checked.
func (t *Transaction) decide() *egress.Error {
	if t.login != "" && !t.policy.Users.same(t.req.User, t.login) {
		return errLogin()
	}
	d := t.policy.ACL.Decide(t.req)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decision = d
	t.rec.Decision, t.rec.Reason, t.rec.Rule = d.String(), "", ""
	if d.Rule >= 0 {
		t.rec.Rule = t.policy.ACL.Rule(d.Rule).Name
	}
	if d.Action == acl.Allow {
		return nil
	}
	e := &egress.Error{Kind: egress.RuleDenied}
	if d.NeedsUser {
		e.Kind = egress.AuthRequired
		e.Sentence = fmt.Sprintf("%s needs a user and a password to reach %s", t.req.Client, t.req.Host.Join(t.req.Port))
	} else {
		e.Sentence = t.refusal(d)
	}
	if d.Observed {
		t.rec.Reason = wouldBe + e.Sentence
		return nil
	}
	return e
}

// OnKill names what ends the exchange of bytes when the transaction is killed:
// closing its connections. It is called at once if that happened already. nil
// takes it back.
func (t *Transaction) OnKill(f func()) {
	t.mu.Lock()
	t.onKill = f
	killed := t.killed != ""
	t.mu.Unlock()
	if killed && f != nil {
		f()
	}
}

// Kill ends the transaction soon: both sides see a reset.
func (t *Transaction) Kill(how, why string) {
	t.mu.Lock()
	if t.killed == "" {
		t.killed, t.why = how, why
	}
	f := t.onKill
	t.mu.Unlock()
	if f != nil {
		f()
	}
}

// Snapshot returns the record as it stands.
func (t *Transaction) Snapshot() track.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.snapshot()
}

// snapshot is for who holds mu.
func (t *Transaction) snapshot() track.Record {
	r := t.rec
	r.Total = time.Since(r.Start)
	r.Up, r.Down = t.Bytes()
	return r
}

// Bytes returns what has been relayed so far.
func (t *Transaction) Bytes() (up, down int64) {
	up, down = t.tunnel.Bytes()
	return up + t.up.Load(), down + t.down.Load()
}

// Uncounted returns what has been relayed since the last call. After the end it is
// nothing: what was left then went with the record.
func (t *Transaction) Uncounted() track.Uncounted {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := track.Uncounted{Protocol: t.rec.Protocol, Rule: t.rec.Rule}
	if !t.done {
		u.Up, u.Down = t.count(t.Bytes())
	}
	return u
}

// count returns what of the bytes relayed so far was not counted before; the caller
// holds mu.
func (t *Transaction) count(up, down int64) (newUp, newDown int64) {
	before := t.counted
	t.counted = [2]int64{up, down}
	return up - before[0], down - before[1]
}

// Relay takes over both connections and returns at once; early is what the client
// sent behind its request. The record is written when the tunnel ends.
func (t *Transaction) Relay(client *net.TCPConn, o *Origin, early []byte) {
	t.mu.Lock()
	t.origin = o
	t.mu.Unlock()
	t.tunnel.Start(client, o.Conn, relay.Options{
		Up: &o.lease.Up, Down: &o.lease.Down, Idle: t.policy.Idle, Early: early, Poller: t.gate.Poller,
	}, t.relayed)
	// A tunnel may live for weeks, and must not keep the rules of its first day in
	// memory.
	t.policy, o.policy = nil, nil
	t.OnKill(func() { t.tunnel.Kill(t.howKilled()) })
}

func (t *Transaction) howKilled() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.killed
}

func (t *Transaction) relayed(r relay.Result) {
	defer func() {
		if v := recover(); v != nil {
			t.Panicked(v)
		}
	}()
	t.origin.release()
	var p *relay.Panic
	if errors.As(r.Err, &p) {
		t.crash(p.Value, p.Stack, t.tunnelStatus())
		return
	}
	t.Finish(Finish{ClosedBy: sides[r.First], How: r.How, Err: r.Err, Status: t.tunnelStatus()})
}

// tunnelStatus is the HTTP status that a client was sent before its tunnel.
func (t *Transaction) tunnelStatus() int {
	switch t.rec.Protocol {
	case track.Connect:
		return http.StatusOK
	case track.HTTP:
		return http.StatusSwitchingProtocols
	}
	return 0
}

var sides = [...]track.Side{relay.Nobody: track.Nobody, relay.Client: track.Client, relay.Origin: track.Origin, relay.Caller: track.Sluice}

// Finish says how an exchange ended that had begun.
type Finish struct {
	Status   int // HTTP status sent; 0 for none
	ClosedBy track.Side
	How      string
	Outcome  egress.Kind // None: "ok"
	Err      error       // for the record only
}

// Finish ends the transaction with its record.
func (t *Transaction) Finish(f Finish) {
	reason := ""
	if f.Err != nil {
		reason = f.Err.Error()
	}
	t.finish(f, reason)
}

// Fail ends the transaction with the record of a refusal or failure. status is
// what the client was sent: the error's own, or 0 when it got no HTTP answer.
func (t *Transaction) Fail(e *egress.Error, status int) {
	if e.Kind == egress.RuleDenied || e.Kind == egress.NotPublic || e.Kind == egress.Loop {
		t.mu.Lock()
		t.rec.Decision, t.rec.Reason = acl.Deny.String(), ""
		t.mu.Unlock()
	}
	t.finish(Finish{Status: status, Outcome: e.Kind}, e.Error())
}

func (t *Transaction) finish(f Finish, reason string) {
	t.mu.Lock()
	if t.done {
		t.mu.Unlock()
		return
	}
	t.done, t.onKill = true, nil
	killed, why := t.killed, t.why
	r := t.snapshot()
	up, down := t.count(r.Up, r.Down) // now, so that all counts add up to the record
	t.mu.Unlock()
	r.Status, r.ClosedBy, r.How, r.Outcome = f.Status, f.ClosedBy, f.How, f.Outcome.String()
	if killed != "" {
		r.ClosedBy, r.How = track.Sluice, killed
		if f.Outcome == egress.OriginProtocol || f.Outcome == egress.ClientGone {
			// What cutting the connections looked like is nobody's fault.
			r.Outcome, reason = egress.None.String(), ""
		}
		if why != "" {
			reason = why
		}
	}
	r.Reason = both(r.Reason, reason)
	if t.gate.Count != nil {
		t.gate.Count(&r, up, down)
	}
	defer t.gate.live.Remove(r.ID) // who waits for the end finds the record written
	t.gate.record(&r)
}
