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

// While one has what cannot be kept, the next is given the answer that showed that it is
// there, and not another of the same.
func TestContentThatCannotBeKeptIsAskedForOnceForEachWhoReadsIt(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.restartWithRoomFor(1000)
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
