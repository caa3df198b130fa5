package intercept

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/mirror/front"
	"sluice/internal/mirror/record"
)

// answer answers a request within a tunnel.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request) {
	t := r.Context().Value(tunnelKey{}).(*tunnel)
	policy, at := p.policy.Load(), t.end.host.Join(t.end.port)
	if !t.end.is(r.Host) {
		// RFC 9110, section 15.5.20: the connection is for one host, by whose name it
		// was decided about.
		misdirected(w, "this connection is to "+at+" alone")
		return
	}
	name, registry := policy.Registries[at]
	blobs, passed := policy.Blobs[at]
	if registry && (!passed || front.Serves(r)) {
		p.o.Registry(name).ServeHTTP(w, r)
		return
	}
	if passed {
		client := clientOf(t).Addr()
		p.pass(w, r, blobs, policy.Admits(client) && (blobs.Admits == nil || blobs.Admits(client)))
		return
	}
	misdirected(w, at+" is not mirrored any more")
}

// misdirected has the client come again on another connection.
func misdirected(w http.ResponseWriter, sentence string) {
	w.Header().Set("Connection", "close")
	http.Error(w, program+": "+sentence, http.StatusMisdirectedRequest)
}

// is tells whether an authority, as of a Host field, is this host.
func (e *end) is(authority string) bool {
	u := url.URL{Host: authority}
	name, port := u.Hostname(), u.Port()
	if port == "" {
		port = "443"
	}
	h, err := acl.ParseHost(name)
	bracketed := strings.HasPrefix(authority, "[")
	if err != nil || h != e.host || bracketed != h.Addr().Is6() {
		return false
	}
	n, err := acl.ParsePort(port)
	return err == nil && n == e.port
}

// passedOn are the fields of a request that a host of blobs gets: nothing that the
// client did not send, and nothing that is not about the blob.
var passedOn = [...]string{"Accept", "Accept-Encoding", "Authorization", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "User-Agent"}

// kept are the fields of an answer that are a matter of its connection (RFC 9110,
// section 7.6.1), or that this server writes itself.
var kept = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authentication-Info": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Alt-Svc": true,
}

// pass passes a request on to the host of blobs that it is for, and the answer back.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, blobs Blobs, admitted bool) {
	t := r.Context().Value(tunnelKey{}).(*tunnel)
	rec := &record.Record{
		ID: record.NewID(), Start: time.Now(), Listener: t.tx.Snapshot().Listener, Client: clientOf(t), Agent: r.UserAgent(),
		Method: r.Method, Path: t.end.host.Join(t.end.port) + r.URL.Path, Registry: blobs.Registry, Kind: record.Blob,
	}
	if blobs.Tokens {
		rec.Kind = record.Other
	}
	defer func() {
		rec.Duration = time.Since(rec.Start)
		p.o.Passed(rec)
	}()
	refuse := func(status int, sentence string) {
		rec.Status, rec.Error = status, sentence
		http.Error(w, program+": "+sentence, status)
	}
	switch {
	case !admitted:
		refuse(http.StatusForbidden, "no rule lets "+rec.Client.Addr().String()+" pull from "+blobs.Registry)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(http.StatusMethodNotAllowed, "this is only read here")
		return
	}
	idle := p.gate.Policy().Idle
	ctx, stall := stalling(r.Context(), idle)
	defer stall.Stop()
	resp, err := blobs.Transport.RoundTrip(t.end.request(ctx, r))
	if err != nil {
		status, sentence := unreached(t.end, err)
		refuse(status, sentence)
		rec.Error += ": " + err.Error()
		return
	}
	defer resp.Body.Close()
	writeHead(w, resp)
	rec.Status, rec.How = resp.StatusCode, record.Passed
	copied, err := passBody(w, resp.Body, stall, idle)
	rec.Bytes = copied
	if err != nil {
		rec.Error = err.Error()
		panic(http.ErrAbortHandler) // what the client has is not the whole, and must not look like it
	}
}

// stalling is a context that ends when the timer is not set anew for the idle time; 0: never.
func stalling(ctx context.Context, idle time.Duration) (context.Context, *time.Timer) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(max(idle, time.Millisecond), func() { cancel(errStalled) })
	if idle <= 0 {
		timer.Stop()
	}
	return ctx, timer
}

var errStalled = errors.New("no byte has come for the idle time")

// request is what the host of blobs is asked.
func (e *end) request(ctx context.Context, r *http.Request) *http.Request {
	host := strings.TrimSuffix(e.host.Join(e.port), ":443")
	u := &url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	out := (&http.Request{Method: r.Method, URL: u, Host: host, Header: make(http.Header, len(passedOn)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	out.Header["User-Agent"] = nil // or the transport writes one of its own
	for _, name := range passedOn {
		if v := r.Header.Values(name); len(v) > 0 {
			out.Header[name] = v
		}
	}
	return out
}

// unreached is what a client is told of a host that has not answered.
func unreached(e *end, err error) (status int, sentence string) {
	var refused *egress.Error
	if errors.As(err, &refused) {
		return refused.Kind.Status(), refused.Sentence
	}
	return http.StatusBadGateway, e.host.String() + " does not answer"
}

func writeHead(w http.ResponseWriter, resp *http.Response) {
	for name, values := range resp.Header {
		if !kept[name] {
			w.Header()[name] = values
		}
	}
	if resp.Header.Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // nothing is guessed
	}
	w.WriteHeader(resp.StatusCode)
}

// passBody copies a body for as long as both sides go on within the idle time.
func passBody(w http.ResponseWriter, body io.Reader, stall *time.Timer, idle time.Duration) (copied int64, err error) {
	deadline := http.NewResponseController(w)
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if idle > 0 {
				stall.Reset(idle)
				_ = deadline.SetWriteDeadline(time.Now().Add(idle)) // of a connection that is there it does not fail
			}
			m, werr := w.Write(buf[:n])
			copied += int64(m)
			if werr != nil {
				return copied, werr
			}
		}
		if err == io.EOF {
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
	}
}
