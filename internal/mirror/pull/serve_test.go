package pull_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
)

func TestATagIsAskedForAfterItsTimeAndFetchedWhenItHasChanged(t *testing.T) {
	hub := newRegistry(t)
	first, _ := hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	expect := func(how string, d oci.Digest, asked string) {
		t.Helper()
		m, got := s.manifest("alpine:3")
		if got != how || m.Digest != d || m.MediaType != oci.TypeManifest || m.Body == nil {
			t.Errorf("%s %+v, want %s of %s", got, m, how, d)
		}
		if got := hub.asked("library/alpine manifests/3"); got != asked {
			t.Errorf("upstream was asked %s, want %s", got, asked)
		}
	}
	expect(pull.Miss, first, "HEAD×1")
	expect(pull.Hit, first, "HEAD×1")
	s.pass(ttl - time.Second)
	expect(pull.Hit, first, "HEAD×1")
	s.pass(2 * time.Second)
	expect(pull.Revalidated, first, "HEAD×2")
	expect(pull.Hit, first, "HEAD×2")
	s.pass(ttl)
	second, _ := hub.image("library/alpine", "3", noise(2, 1000))
	expect(pull.Miss, second, "HEAD×3")
	if got := hub.asked("library/alpine manifests/" + string(first)); got != "GET×1" {
		t.Errorf("the first manifest was asked for %s", got)
	}
	// The one of before is there still, for who asks by digest.
	if m, how := s.manifest("alpine@" + string(first)); how != pull.Hit || m.Digest != first {
		t.Errorf("by digest: %s", how)
	}
	if _, how := s.manifest("alpine:4"); how != "404 MANIFEST_UNKNOWN" {
		t.Errorf("no such tag: %s", how)
	}
}

func TestAThousandClientsForOneColdBlobMakeOneRequest(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 256<<10)
	_, d := hub.image("library/alpine", "3", layer)
	gate := make(chan struct{})
	hub.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			<-gate
		}
		return false
	})
	s := newSite(t, hub, false)
	const clients = 1000
	hows := make(chan string, clients)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			r := s.request("alpine@" + string(d))
			b, err := s.Blob(context.Background(), r)
			if err != nil {
				hows <- err.Error()
				return
			}
			defer b.Close()
			sum := d.New()
			if _, err := b.Content.CopyTo(context.Background(), sum, 0, -1, nil); err != nil || oci.FromHash(oci.SHA256, sum) != d {
				hows <- fmt.Sprint("bad content: ", err)
				return
			}
			hows <- b.How
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { close(gate) })
	wg.Wait()
	close(hows)
	n := make(map[string]int)
	for how := range hows {
		n[how]++
	}
	if n[pull.Miss] != 1 || n[pull.Miss]+n[pull.Joined]+n[pull.Hit] != clients {
		t.Errorf("how they got it: %v", n)
	}
	if got := hub.asked("library/alpine blobs/" + string(d)); got != "GET×1" {
		t.Errorf("upstream was asked %s", got)
	}
}

// Content that is here from one registry, or on its way, is served for another as far as
// that sends it too: once, however many clients there are and whoever of them leaves.
func TestContentOfAnotherRegistryIsFetchedOnceFromThisOneToo(t *testing.T) {
	for name, kept := range map[string]bool{"kept": true, "on its way": false} {
		t.Run(name, func(t *testing.T) {
			hub, other := newRegistry(t), newRegistry(t)
			layer := noise(1, 256<<10)
			_, d := hub.image("library/alpine", "3", layer)
			other.image("acme/app", "1", layer)
			asked, gate, hubGate := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
			other.instead(func(http.ResponseWriter, *http.Request) bool {
				select {
				case asked <- struct{}{}:
				default:
				}
				<-gate
				return false
			})
			s := newSite(t, hub, false)
			s.add("other.example", other.URL, false)
			var wg sync.WaitGroup
			if kept {
				close(hubGate)
			}
			hub.instead(func(http.ResponseWriter, *http.Request) bool { <-hubGate; return false })
			wg.Go(func() {
				if content, how := s.blob("alpine@" + string(d)); how != pull.Miss || !bytes.Equal(content, layer) {
					t.Errorf("%d bytes, %s", len(content), how)
				}
			})
			if kept {
				wg.Wait()
				s.settled()
			}
			var others sync.WaitGroup
			leaves, leave := context.WithCancel(t.Context())
			others.Go(func() {
				if b, err := s.Blob(leaves, s.request("other.example/acme/app@"+string(d))); err == nil {
					b.Close()
				}
			})
			<-asked
			for range 100 {
				others.Go(func() {
					content, how := s.blob("other.example/acme/app@" + string(d))
					if !bytes.Equal(content, layer) {
						t.Errorf("%d bytes, %s", len(content), how)
					}
				})
			}
			leave()
			close(gate)
			others.Wait() // also where the first registry does not answer
			if !kept {
				close(hubGate)
			}
			wg.Wait()
			eventually(t, "it is not known to be the other registry's", func() bool { return s.store.HeldIn("other.example", d) })
			if got := other.asked("acme/app blobs/" + string(d)); got != "GET×1" {
				t.Errorf("the other registry was asked %s", got)
			}
			if _, how := s.blob("other.example/acme/app@" + string(d)); how != pull.Hit {
				t.Errorf("afterwards: %s", how)
			}
		})
	}
}

func TestAThousandClientsForAnExpiredTagMakeOneRequest(t *testing.T) {
	hub := newRegistry(t)
	hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	s.manifest("alpine:3")
	s.pass(2 * ttl)
	gate := make(chan struct{})
	hub.instead(func(http.ResponseWriter, *http.Request) bool { <-gate; return false })
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if _, how := s.manifest("alpine:3"); how != pull.Revalidated && how != pull.Hit {
				t.Errorf("how: %s", how)
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { close(gate) })
	wg.Wait()
	if got := hub.asked("library/alpine manifests/3"); got != "HEAD×2" {
		t.Errorf("upstream was asked %s, once of it before", got)
	}
}

func TestAClientThatLeavesDoesNotEndTheDownload(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 2<<20)
	_, d := hub.image("library/alpine", "3", layer)
	for name, begun := range map[string]bool{"while the upstream is asked": false, "while the content comes": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, hub, false)
			hub.do(func() { clear(hub.counts) })
			gate, there := make(chan struct{}), make(chan struct{})
			hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
				if begun {
					w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
					w.Write(layer[:1<<20])
					w.(http.Flusher).Flush()
				}
				close(there)
				<-gate
				if begun {
					w.Write(layer[1<<20:])
				}
				return begun
			})
			ctx, leave := context.WithCancel(context.Background())
			left := make(chan error)
			go func() {
				b, err := s.Blob(ctx, s.request("alpine@"+string(d)))
				if err == nil {
					_, err = b.Content.CopyTo(ctx, new(bytes.Buffer), 0, -1, nil)
					b.Close()
				}
				left <- err
			}()
			<-there
			leave()
			if err := <-left; err == nil {
				t.Fatal("the client that left got all")
			}
			close(gate)
			s.keeps(d)
			hub.instead(nil)
			content, how := s.blob("alpine@" + string(d))
			if how != pull.Hit || !bytes.Equal(content, layer) {
				t.Errorf("the next client: %s, %d bytes", how, len(content))
			}
			if got := hub.asked("library/alpine blobs/" + string(d)); got != "GET×1 HEAD×1" && got != "GET×1" {
				t.Errorf("upstream was asked %s", got)
			}
		})
	}
}

func TestWhatAnUpstreamLiesAboutIsNeverServedWholeNorKept(t *testing.T) {
	layer := noise(1, 1<<20)
	other := noise(2, 1<<20)
	for name, lie := range map[string]func(w http.ResponseWriter){
		"another content":         func(w http.ResponseWriter) { w.Write(other) },
		"another content, at end": func(w http.ResponseWriter) { w.Write(layer[:len(layer)-1]); w.Write([]byte{layer[len(layer)-1] ^ 1}) },
		"cut short":               func(w http.ResponseWriter) { w.Write(layer[:len(layer)-1]) },
		"more behind": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(len(layer)+1))
			w.Write(layer)
			w.Write([]byte{0})
		},
		"a longer length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(len(layer)+1))
			w.Write(layer)
		},
		"nothing": func(http.ResponseWriter) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := newRegistry(t)
			_, d := hub.image("library/alpine", "3", layer)
			hub.instead(func(w http.ResponseWriter, r *http.Request) bool { lie(w); return true })
			s := newSite(t, hub, false)
			content, how := s.blob("alpine@" + string(d))
			if len(content) >= len(layer) || how == pull.Miss || how == pull.Hit {
				t.Errorf("%s, %d bytes", how, len(content))
			}
			s.settled()
			if s.store.HeldIn("docker.io", d) || s.store.Stats().Blobs != 0 {
				t.Errorf("kept: %+v", s.store.Stats())
			}
			hub.instead(nil)
			if content, how = s.blob("alpine@" + string(d)); how != pull.Miss || !bytes.Equal(content, layer) {
				t.Errorf("when it is honest again: %s, %d bytes", how, len(content))
			}
		})
	}
}

func TestAManifestThatIsNotWhatWasAskedForIsNotServed(t *testing.T) {
	for name, c := range map[string]struct {
		body, contentType, digest, want string
	}{
		"another digest":         {`{"schemaVersion":2}`, oci.TypeManifest, "", "502 UNKNOWN"},
		"no JSON":                {`<html>`, "text/html", string(oci.FromBytes([]byte("<html>"))), "502 UNKNOWN"},
		"schema 1":               {`{"schemaVersion":1,"fsLayers":[]}`, oci.TypeManifest, string(oci.FromBytes([]byte(`{"schemaVersion":1,"fsLayers":[]}`))), "404 MANIFEST_UNKNOWN"},
		"schema 1 by its type":   {`{"name":"x"}`, "application/vnd.docker.distribution.manifest.v1+prettyjws", string(oci.FromBytes([]byte(`{"name":"x"}`))), "404 MANIFEST_UNKNOWN"},
		"more than anybody asks": {`{"a":"` + string(bytes.Repeat([]byte("x"), oci.MaxManifest)) + `"}`, oci.TypeManifest, "", "502 UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newRegistry(t)
			s := newSite(t, hub, false)
			d := c.digest
			if d == "" {
				d = string(oci.FromBytes([]byte("x")))
			}
			hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Docker-Content-Digest", d)
				w.Write([]byte(c.body))
				return true
			})
			for _, image := range []string{"alpine:3", "alpine@" + d} {
				if _, how := s.manifest(image); how != c.want {
					t.Errorf("%s: %s, want %s", image, how, c.want)
				}
			}
			if st := s.store.Stats(); st.Blobs != 0 {
				t.Errorf("kept: %+v", st)
			}
		})
	}
}

func TestTheTypeOfAManifestIsItsOwnWord(t *testing.T) {
	index := `{"schemaVersion":2,"manifests":[]}`
	docker := `{"schemaVersion":2,"mediaType":"` + oci.TypeDocker + `","config":{"digest":"` + string(oci.FromBytes(nil)) + `","size":0},"layers":[]}`
	for name, c := range map[string]struct{ body, header, want string }{
		"the header lies":     {docker, "text/html", oci.TypeDocker},
		"it is not said":      {index, oci.TypeManifest, oci.TypeIndex},
		"parameters":          {index, oci.TypeIndex + "; charset=utf-8", oci.TypeIndex},
		"of some other kind":  {`{"x":1}`, "application/vnd.example+json; q=1", "application/vnd.example+json"},
		"of no kind that is ": {`{"x":1}`, "nonsense\"", "application/json"},
	} {
		hub := newRegistry(t)
		hub.manifest("library/alpine", "3", c.header, []byte(c.body))
		s := newSite(t, hub, false)
		for _, how := range []string{pull.Miss, pull.Hit} {
			if m, got := s.manifest("alpine:3", head); got != how || m.MediaType != c.want || m.Size != int64(len(c.body)) {
				t.Errorf("%s: %s %+v, want %s", name, got, m, c.want)
			}
		}
	}
}

func TestARegistryThatKnowsNoHEADRequestsOrNoDigests(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"no HEAD": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
			return r.Method == http.MethodHead
		},
		"no digest": func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", oci.TypeIndex)
			w.Write([]byte(`{"manifests":[]}`))
			return true
		},
	} {
		hub := newRegistry(t)
		d := hub.manifest("library/alpine", "3", oci.TypeIndex, []byte(`{"manifests":[]}`))
		hub.instead(answer)
		s := newSite(t, hub, false)
		if m, how := s.manifest("alpine:3"); how != pull.Miss || m.Digest != d {
			t.Errorf("%s: %s %+v", name, how, m)
		}
		if _, how := s.manifest("alpine:3"); how != pull.Hit {
			t.Errorf("%s, again: %s", name, how)
		}
	}
}

func TestAColdHEADOrALaterPartDownloadsNoMore(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	image := "alpine@" + string(d)
	b, err := s.Blob(context.Background(), pull.Request{Repo: s.request(image).Repo, Ref: oci.Reference{Digest: d}, Head: true})
	if err != nil || b.Size != int64(len(layer)) || b.How != pull.Passed || b.Content != nil {
		t.Fatalf("HEAD: %+v, %v", b, err)
	}
	for _, header := range []string{"bytes=1000-1999", "bytes=1000-", "bytes=-1000"} {
		b, err := s.Blob(context.Background(), pull.Request{Repo: s.request(image).Repo, Ref: oci.Reference{Digest: d}, Range: header})
		if err != nil || b.Passed == nil || b.Passed.StatusCode != http.StatusPartialContent || b.Size != int64(len(layer)) || b.How != pull.Passed {
			t.Fatalf("%s: %+v, %v", header, b, err)
		}
		got, err := read(b)
		if want := b.Passed.ContentLength; err != nil || int64(len(got)) != want || !bytes.Contains(layer, got) {
			t.Errorf("%s: %d bytes, %v", header, len(got), err)
		}
		b.Close()
	}
	if st := s.store.Stats(); st.Bytes != 0 || st.Downloads != 0 {
		t.Errorf("something was downloaded: %+v", st)
	}
	if _, how := s.blob(image, part("bytes=2000000-")); how != "416 SIZE_INVALID" {
		t.Errorf("behind the end: %s", how)
	}
	for _, header := range []string{"bytes=0-99", "bytes=0-", "lines=5-", "bytes=1-2,5-6", "bytes=x-"} {
		s := newSite(t, hub, false)
		if content, how := s.blob(image, part(header)); how != pull.Miss || !bytes.Equal(content, layer) {
			t.Errorf("%s: %s, %d bytes", header, how, len(content))
		}
	}
}

func TestALaterPartOfWhatIsUnderWayIsServedFromThat(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("library/alpine", "3", layer)
	gate := make(chan struct{})
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		w.(http.Flusher).Flush()
		<-gate
		w.Write(layer)
		return true
	})
	s := newSite(t, hub, false)
	first, err := s.Blob(context.Background(), s.request("alpine@"+string(d)))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	r := s.request("alpine@" + string(d))
	r.Range = "bytes=500000-"
	second, err := s.Blob(context.Background(), r)
	if err != nil || second.How != pull.Joined || second.Content == nil {
		t.Fatalf("%+v, %v", second, err)
	}
	defer second.Close()
	close(gate)
	var got bytes.Buffer
	if _, err := second.Content.CopyTo(context.Background(), &got, 500000, -1, nil); err != nil || !bytes.Equal(got.Bytes(), layer[500000:]) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if asked := hub.asked("library/alpine blobs/" + string(d)); asked != "GET×1" {
		t.Errorf("upstream was asked %s", asked)
	}
}

func TestABaseLayerIsDownloadedOnceForAllRepositoriesOfARegistry(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("library/alpine", "3", layer)
	hub.image("library/golang", "1", layer)
	s := newSite(t, hub, false)
	s.blob("alpine@" + string(d))
	s.keeps(d)
	if content, how := s.blob("golang@" + string(d)); how != pull.Hit || !bytes.Equal(content, layer) {
		t.Errorf("%s", how)
	}
	if got := hub.asked("library/golang blobs/" + string(d)); got != "HEAD×1" {
		t.Errorf("upstream was asked %s", got)
	}
}

func TestContentThatCannotBeKeptIsStreamed(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	m, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.stop()
	s.size = 1000
	s.start()
	s.swap()
	for range 2 {
		if content, _ := s.blob("alpine@" + string(d)); !bytes.Equal(content, layer) {
			t.Errorf("%d bytes", len(content))
		}
	}
	if got, how := s.manifest("alpine@" + string(m)); how != pull.Miss && how != pull.Hit || got.Digest != m {
		t.Errorf("manifest: %s", how)
	}
}

// While one has what cannot be kept, the next is given the answer that showed that it is
// there, and not another of the same.
func TestContentThatCannotBeKeptIsAskedForOnceForEachWhoReadsIt(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.stop()
	s.size = 1000
	s.start()
	s.swap()
	first, err := s.Blob(t.Context(), s.request("alpine@"+string(d)))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	s.settled()
	const more = 5
	for range more {
		if content, how := s.blob("alpine@" + string(d)); !bytes.Equal(content, layer) || how != pull.Miss {
			t.Errorf("%d bytes, %s", len(content), how)
		}
	}
	if got, want := hub.asked("library/alpine blobs/"+string(d)), fmt.Sprintf("GET×%d", 1+more); got != want {
		t.Errorf("upstream was asked %s, for %d who read", got, 1+more)
	}
}
