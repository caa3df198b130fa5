package pull_test

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
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

func TestContentThatCannotBeKeptIsStreamed(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	m, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.restartWithRoomFor(1000)
	for range 2 {
		if content, _ := s.blob("alpine@" + string(d)); !bytes.Equal(content, layer) {
			t.Errorf("%d bytes", len(content))
		}
	}
	if got, how := s.manifest("alpine@" + string(m)); how != pull.Miss && how != pull.Hit || got.Digest != m {
		t.Errorf("manifest: %s", how)
	}
}
