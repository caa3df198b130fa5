package mirror

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// The transparent way: a client that knows nothing but a proxy, and trusts the mirror's
// authority, asks the registry by its own name.
func TestTheTransparentWayServesARegistryUnderItsOwnName(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
	proxy := &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
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
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
		proxy := &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}
		client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}}}
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
