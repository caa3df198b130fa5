package mirror

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/mirror/record"
)

// The transparent way: a client that knows nothing but a proxy, and trusts the mirror's
// authority, asks the registry by its own name.
func TestTheTransparentWayServesARegistryUnderItsOwnName(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"))
	client := r.client(r.transparent(), false)
	for range 2 {
		resp, err := client.Get("https://registry-1.docker.io" + o.blob())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(body, o.layer) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	}
	if n := o.fetched.Load(); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
	if _, err := client.Get("https://169.254.169.254/latest/meta-data/"); err == nil {
		t.Error("it tunnels anywhere")
	}
}

// What is no pull goes to the registry itself, and blobs to their hosts: only for those
// who may pull from that registry, whatever else they may pull.
func TestTheTransparentWayLeadsToTheHostsOfNoRegistryThatIsDenied(t *testing.T) {
	o := newOrigin(t)
	r := run(t, strings.Replace(text(t, o, `
[transparent]
address = "127.0.0.1:0"
[egress]
resolver = ["127.0.0.1:9"] # nothing is reached: who may go there learns that
`), "[cache]", `[[upstream]]
name = "one.example"
blob_hosts = ["blobs.example", "both.example"]
[[upstream]]
name = "two.example"
blob_hosts = ["both.example"]
[cache]`, 1))
	before, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ denied, host, want string }{
		{`"docker.io"`, "blobs.example", "502"},
		{`"docker.io"`, "one.example", "502"},
		{`"one.example"`, "blobs.example", "403"},
		{`"one.example"`, "one.example", "403"},
		{`"one.example"`, "both.example", "502"},
		{`"one.example", "two.example"`, "both.example", "403"},
	} {
		rule := fmt.Sprintf("[[rule]]\nname = \"no\"\naction = \"deny\"\nto = [%s]\nclients = [\"127.0.0.1\"]\n[[rule]]", x.denied)
		r.write(strings.Replace(string(before), "[[rule]]", rule, 1))
		if _, err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		client := r.client(r.transparent(), false)
		resp, err := client.Get("https://" + x.host + "/token")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		if !strings.HasPrefix(resp.Status, x.want) {
			t.Errorf("with %s denied %s is answered %s, want %s", x.denied, x.host, resp.Status, x.want)
		}
	}
}

// requestWithin asks /v2/ of Docker Hub by the transparent way, and tells whether the
// request came by a tunnel that was there.
func requestWithin(t *testing.T, client *http.Client) (status int, again bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { again = i.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "https://registry-1.docker.io/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, again
}

// Who reaches the server of tokens is told of it. A rule for that which a reload brings
// holds for the next request of a tunnel that is there.
func TestAReloadIsHeededByTheNextRequestWithinATunnel(t *testing.T) {
	o := newOrigin(t)
	o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example/token",service="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	file := text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n")
	r := run(t, file)
	client := r.client(r.transparent(), true)
	if status, _ := requestWithin(t, client); status != http.StatusOK {
		t.Fatalf("who does not reach the server of tokens is answered %d", status)
	}
	r.write(file + "[[transparent.rule]]\nname = \"tokens\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\nto = [\"auth.example\"]\n")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, again := requestWithin(t, client); status != http.StatusUnauthorized || !again {
		t.Errorf("after the reload: %d, by the same tunnel: %t", status, again)
	}
}

// There is one handler for all requests until the next reload: none is made for each.
func TestRequestsWithinTunnelsHaveTheHandlerOfWhatIsInForce(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"))
	f := r.force.Load()
	var records atomic.Int64
	within := *f.within
	within.Record = func(*record.Record) { records.Add(1) }
	for _, l := range f.listeners {
		if t, ok := l.server.(*transparentServer); ok {
			t.handler.Store(&within)
		}
	}
	client := r.client(r.transparent(), true)
	for range 3 {
		requestWithin(t, client)
	}
	waitFor(t, func() bool { return records.Load() == 3 })
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	requestWithin(t, client)
	waitFor(t, func() bool { return strings.Contains(r.out.String(), `"kind":"ping"`) })
	if n := records.Load(); n != 3 {
		t.Errorf("after the reload the handler of before had %d requests", n)
	}
}
