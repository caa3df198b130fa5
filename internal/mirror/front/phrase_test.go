package front

import (
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/mirror/access"
)

// What containerd, docker, podman and skopeo show of these answers is the status line.
func TestTheStatusLineSaysWhyWhereTheBodyIsNotRead(t *testing.T) {
	x := newRig(t, func(s *setup) {
		s.rules = []access.Rule{{Rule: acl.Rule{Name: "hub", Action: acl.Allow, To: []string{"docker.io"}}}}
	})
	x.hub.Close()
	const away = "sluice-mirror: does not reach docker.io, and has no earlier answer to give for manifest a/b:3"
	const denied = "sluice-mirror: no rule lets 127.0.0.1 pull ghcr.io/a/b; it may pull from other registries"
	for i, test := range []struct{ method, path, status string }{
		{"HEAD", "/v2/ghcr.io/a/b/manifests/3", "403 " + denied},
		{"GET", "/v2/ghcr.io/a/b/manifests/3", "403 Forbidden"},
		{"HEAD", "/v2/a/b/manifests/3", "504 " + away},
		{"GET", "/v2/a/b/manifests/3", "504 " + away},
		{"HEAD", "/v2/quay.io/a/manifests/3", "404 Not Found"},
	} {
		a := x.do(test.method, test.path)
		if a.Status != test.status {
			t.Errorf("%s %s: %q, want %q", test.method, test.path, a.Status, test.status)
		}
		if isPhrase := strings.Contains(test.status, "sluice-mirror"); a.Close != isPhrase {
			t.Errorf("%s %s: the connection is to be closed: %v", test.method, test.path, a.Close)
		}
		body := a.ContentLength
		if test.method == http.MethodHead {
			body = 0
		}
		if r := x.last(i + 1); int64(r.Status) != int64(a.StatusCode) || r.Bytes != body || int64(len(a.body)) != body || a.err != nil || r.Error == "" {
			t.Errorf("%s %s: %d bytes came, %v, and the record is %+v", test.method, test.path, len(a.body), a.err, r)
		}
	}
}

// A sentence names what the upstream and the client have chosen.
func TestAPhraseIsOneLine(t *testing.T) {
	if got, want := phrase("the registry says \"no\r\nSet-Cookie: a\"\x00é"), `sluice-mirror: the registry says "no??Set-Cookie: a"??`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// HTTP/2 has no status line, and its connections are dear.
func TestNoConnectionOfHTTP2EndsWithAnError(t *testing.T) {
	x := newRig(t, func(s *setup) { s.secure = true })
	x.hub.Close()
	client := *x.server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	client.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	for i := range 2 {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.server.URL+"/v2/a/b/manifests/3", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusGatewayTimeout || reused != (i > 0) {
			t.Errorf("answer %d: %s %s, by a connection that was used before: %v", i, resp.Proto, resp.Status, reused)
		}
	}
}
