package mirror

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAClientHasSoManyConnectionsAndNoMore(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[limits]\nconnections = 2\n"))
	var kept []*http.Client
	refused := 0
	for range 4 {
		c := &http.Client{Transport: &http.Transport{}}
		kept = append(kept, c)
		resp, err := c.Get(r.url("/v2/"))
		if err != nil {
			refused++
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if refused != 2 {
		t.Errorf("%d of 4 were refused", refused)
	}
	for _, c := range kept {
		c.CloseIdleConnections()
	}
	waitFor(t, func() bool {
		resp, err := http.Get(r.url("/v2/"))
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

func TestRequestsOverOneConnectionTakePlacesToo(t *testing.T) {
	for name, way := range map[string]func(r *running) (proxy *url.URL, at string){
		"to the mirror": func(r *running) (*url.URL, string) { return nil, r.Addrs()[0].String() },
		"transparent": func(r *running) (*url.URL, string) {
			return r.transparent(), "registry-1.docker.io"
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.gate = make(chan struct{})
			file := strings.Replace(text(t, o, "[limits]\nconnections = 2\n[transparent]\naddress = \"127.0.0.1:0\"\n"), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1)
			r := run(t, file)
			proxy, at := way(r)
			client := r.client(proxy, true)
			var bodies []io.ReadCloser
			for i, want := range []int{200, 200, 429, 429} {
				resp, err := client.Get("https://" + at + o.blob())
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != want || resp.ProtoMajor != 2 {
					t.Errorf("request %d: %s %s", i, resp.Proto, resp.Status)
				}
				if resp.StatusCode == http.StatusOK {
					bodies = append(bodies, resp.Body)
				}
			}
			close(o.gate)
			for _, b := range bodies {
				if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, o.layer) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
			waitFor(t, func() bool {
				resp, err := client.Get("https://" + at + o.blob())
				if err == nil {
					resp.Body.Close()
				}
				n, _ := r.places.Len()
				return err == nil && resp.StatusCode == http.StatusOK && n <= 1
			})
		})
	}
}
