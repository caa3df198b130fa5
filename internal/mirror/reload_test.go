package mirror

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAReloadChangesWhoMayPull(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	if status, _ := get(t, r.url("/v2/")); status != 200 {
		t.Fatalf("status %d", status)
	}
	r.write(strings.Replace(file, `clients = ["127.0.0.1"]`, `clients = ["192.0.2.1"]`, 1))
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, r.url("/v2/")); status != 403 || !strings.Contains(body, "127.0.0.1") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestAReloadThatCannotBeDoneChangesNothing(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	busy := httptest.NewServer(http.NotFoundHandler())
	defer busy.Close()
	for name, c := range map[string]struct{ with, want string }{
		"a file with an error":    {file + "[cach]\n", "cache"},
		"an address that is busy": {file + "[[listener]]\naddress = \"" + busy.Listener.Addr().String() + "\"\n", "in use"},
		"another cache":           {strings.Replace(file, "/cache\"", "/other\"", 1), "restart"},
		"users that are nowhere":  {file + "[users]\nfile = \"/nowhere/users\"\n", "/nowhere/users"},
		"no certificate":          {file + "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"files\"\ncertificate = \"/nowhere/cert\"\nkey = \"/nowhere/key\"\n", "/nowhere"},
	} {
		r.write(c.with)
		if _, err := r.Reload(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if status, _ := get(t, r.url("/v2/")); status != 200 || len(r.Addrs()) != 1 {
			t.Errorf("%s: status %d, addresses %v", name, status, r.Addrs())
		}
	}
}

// A reload opens and closes listeners; what is pulled meanwhile is whole.
func TestAReloadMovesAListenerUnderAPull(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	file := text(t, o, "")
	r := run(t, file)
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	before := r.Addrs()[0]
	r.write(strings.Replace(file, `address = "127.0.0.1:0"`, `address = "127.0.0.2:0"`, 1))
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r.Addrs()[0].Addr() == before.Addr() {
		t.Fatalf("it still listens on %v", before)
	}
	close(o.gate)
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	waitFor(t, func() bool {
		_, err := http.Get("http://" + before.String() + "/v2/")
		return err != nil
	})
}

// A reload that changes what is spoken at an address is heeded by the next connection.
func TestAReloadTakesTLSAwayFromAnAddress(t *testing.T) {
	o := newOrigin(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	plain := strings.Replace(text(t, o, ""), `address = "127.0.0.1:0"`, `address = "`+free.Addr().String()+`"`, 1)
	r := run(t, strings.Replace(plain, "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1))
	if status, _ := get(t, r.url("/v2/")); status != 400 { // as net/http answers plain HTTP
		t.Fatalf("status %d", status)
	}
	r.write(plain)
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, r.url("/v2/")); status != 200 {
		t.Errorf("status %d", status)
	}
}
