package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const userAgent = "sluice-doctor"

// maxHead bounds the head of an answer, in bytes, as net/http does.
const maxHead = 1 << 20

// maxBody bounds what is read of any answer, in bytes: enough for an index of
// images, and for the speed of a blob.
const maxBody = 1 << 20

// answer is one HTTP answer, with the head's time apart from the body's.
type answer struct {
	status int
	reason string // the status line behind the version
	header http.Header
	body   []byte        // maxBody at most
	head   time.Duration // until the head was read
	rest   time.Duration // until the body was, or as much of it as was read
}

// errNotHTTP is an answer that is none of HTTP's.
var errNotHTTP = errors.New("the answer is no HTTP")

// exchange sends one request on a connection, by its Write or WriteProxy, and reads
// the answer. Every connection has one request, so that each is timed from its
// beginning. A body that is cut short is an answer and an error.
func exchange(ctx context.Context, c net.Conn, req *http.Request, write func(io.Writer) error) (*answer, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	began := time.Now()
	req.Close = true
	req.Header.Set("User-Agent", userAgent)
	if err := write(c); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxHead+maxBody)), req)
	if err != nil {
		if outcomeOf(err) == Failed {
			return nil, fmt.Errorf("%w: %w", errNotHTTP, err)
		}
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, reason: resp.Status, header: resp.Header, head: time.Since(began)}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	a.rest = time.Since(began) - a.head
	return a, err
}

// ask sends a request on a connection of its own, under TLS that has to be sound.
func (r *run) ask(ctx context.Context, w way, method string, u *url.URL, header http.Header) (*answer, error) {
	t, err := urlHost(u, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := r.bound(ctx, shareTunnel, mostTunnel)
	defer cancel()
	dialling, stop := r.bound(ctx, shareConnect, mostConnect)
	if w.name == Through {
		stop()
		dialling, stop = context.WithCancel(ctx)
	}
	defer stop()
	c, err := w.dial(dialling, "tcp", t.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	secured, _, err := r.secure(ctx, c, t.Host)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: method, URL: u, Header: header}
	return exchange(ctx, secured, req, req.Write)
}

// http asks the host for /v2/. Any answer shows that the host is reached; one with
// a Bearer challenge is a registry's, and it is examined further.
func (r *run) http(ctx context.Context, w way, t Target, scheme string, c net.Conn) []Target {
	s := r.begin(w.name, t.String(), stepHTTP)
	bounded, cancel := r.bound(ctx, shareHTTP, mostHTTP)
	defer cancel()
	u := &url.URL{Scheme: scheme, Host: t.urlHost(), Path: "/v2/"}
	req := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}
	a, err := exchange(bounded, c, req, req.Write)
	if a == nil { // a body that is cut short is no news here
		r.failed(s, err)
		return nil
	}
	s.Status = a.status
	s.date(a)
	r.end(s, OK, fmt.Sprintf("answers %d, %s", a.status, short(a.head)))
	if t.Why == whyToken || t.Why == whyRedirect {
		return nil // or one registry after another could be named without end
	}
	if challenge, ok := challengeIn(a.header); ok && a.status == http.StatusUnauthorized && scheme == "https" {
		return r.registry(ctx, w, t, challenge)
	}
	return nil
}

// date keeps the host's clock beside this one. Date has whole seconds.
func (s *Step) date(a *answer) {
	there, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return
	}
	there = there.UTC()
	s.Date = &there
	s.skew = time.Now().Add(-a.rest - a.head/2).Sub(there)
}
