package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/mirror/settings"
)

func TestAnImageIsPulledTwiceAndFetchedOnce(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, ""))
	for range 2 {
		if status, body := get(t, r.url("/v2/app/manifests/1")); status != 200 || body != string(o.manifest) {
			t.Fatalf("manifest: %d %s", status, body)
		}
		if status, body := get(t, r.url(o.blob())); status != 200 || body != string(o.layer) {
			t.Fatalf("layer: %d, %d bytes", status, len(body))
		}
	}
	if n := o.fetched.Load(); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
	_, metrics := get(t, "http://"+r.AdminAddr().String()+"/metrics")
	for _, want := range []string{"sluice_mirror_cache_bytes", "sluice_mirror_requests_total"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if n := strings.Count(r.out.String(), `"repository":"library/app"`); n != 4 {
		t.Errorf("%d records:\n%s", n, r.out.String())
	}
}

func TestARestartFindsWhatWasKeptWithTheUpstreamAway(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	get(t, r.url("/v2/app/manifests/1"))
	get(t, r.url(o.blob()))
	r.stop()
	<-r.done
	r.done <- nil
	o.Close()
	r = run(t, file)
	if status, body := get(t, r.url(o.blob())); status != 200 || body != string(o.layer) {
		t.Errorf("layer: %d, %d bytes", status, len(body))
	}
	if status, body := get(t, r.url("/v2/app/manifests/1")); status != 200 || body != string(o.manifest) {
		t.Errorf("manifest: %d %s", status, body)
	}
}

func TestADrainLetsAPullEnd(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	r := run(t, text(t, o, ""))
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.stop()
	waitFor(t, r.draining.Load)
	close(o.gate)
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if _, err := r.Reload(context.Background()); !errors.Is(err, ErrEnding) {
		t.Errorf("a reload in the drain: %v", err)
	}
}

func TestACutDrainLeavesRecords(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	defer close(o.gate)
	r := run(t, text(t, o, ""))
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.stop()
	r.cut()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the client takes what it has for the whole")
	}
	if !strings.Contains(r.out.String(), `"kind":"blob"`) {
		t.Errorf("no record:\n%s", r.out.String())
	}
}

func TestAListenerWithACertificateOfItsOwn(t *testing.T) {
	o := newOrigin(t)
	file := strings.Replace(text(t, o, ""), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1)
	r := run(t, file)
	client := r.client(nil, true)
	resp, err := client.Get("https://" + r.Addrs()[0].String() + o.blob())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) || resp.ProtoMajor != 2 {
		t.Errorf("%s: %d bytes, %v", resp.Proto, len(body), err)
	}
}

func TestNothingIsOpenedWhenSomethingCannotBe(t *testing.T) {
	o := newOrigin(t)
	busy := httptest.NewServer(http.NotFoundHandler())
	defer busy.Close()
	file := text(t, o, "[transparent]\naddress = \""+busy.Listener.Addr().String()+"\"\n")
	cfg, err := settings.Parse("mirror.toml", []byte(file), settings.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("error %v", err)
	}
	// The lock of the cache is free again.
	cfg.Transparent = nil
	s, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestTheConfigurationInForceIsShown(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, ""))
	status, body := get(t, "http://"+r.AdminAddr().String()+"/config")
	var shown map[string]any
	if err := json.Unmarshal([]byte(body), &shown); err != nil || status != 200 || !strings.Contains(body, o.URL) {
		t.Errorf("%d, %v: %s", status, err, body)
	}
}

// An address that the file names is meant; one that a registry sends its clients to, or
// that a name turns out to have, is not.
func TestOnlyTheAddressThatWasWrittenIsDialledThoughItIsNotPublic(t *testing.T) {
	for name, address := range map[string]string{"another address": "127.0.0.2:0", "another port": "127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			var asked atomic.Int64
			inside := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Write(o.layer)
			}))
			inside.Listener.Close()
			var err error
			if inside.Listener, err = net.Listen("tcp", address); err != nil {
				t.Fatal(err)
			}
			inside.Start()
			defer inside.Close()
			o.redirect = inside.URL + "/secret"
			r := run(t, text(t, o, ""))
			if status, body := get(t, r.url(o.blob())); status < 500 || asked.Load() != 0 {
				t.Errorf("%d, and the address inside was asked %d times: %.100s", status, asked.Load(), body)
			}
			if status, _ := get(t, r.url("/v2/app/manifests/1")); status != 200 {
				t.Errorf("the address that was written is not dialled: %d", status)
			}
		})
	}
}
