//go:build linux

package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestADownloadResumesOnlyWhereItEnded(t *testing.T) {
	const whole = "0123456789"
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want Kind
	}{
		"a server with ranges": {func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(whole))
		}, 0},
		"a server without":      {says(whole), NoRange},
		"another part":          {part("bytes 3-9/10"), NoRange},
		"a part of a part":      {part("bytes 40-49/50"), NoRange},
		"a part without a name": {part(""), NoRange},
		"many parts":            {part("multipart"), NoRange},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.serve(t, c.h)
			registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.url(otherName), http.StatusFound)
			})
			r := w.open(t, registry.url(registryName))
			q := blob(Anonymous())
			q.Offset = 4
			if c.want != 0 {
				fails(t, r, q, c.want)
				return
			}
			if got := get(t, r, q); got != whole[4:] {
				t.Errorf("got %q", got)
			}
			if got := other.requests()[0].header.Get("Range"); got != "bytes=4-" {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func part(contentRange string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
	}
}

func TestABodyThatStallsFailsAndASlowReaderDoesNot(t *testing.T) {
	const size = 1 << 20 // more than is buffered on the way
	w := newWorld(t)
	stop := make(chan struct{})
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		if strings.Contains(r.URL.Path, "blobs") {
			<-stop
			return
		}
		fmt.Fprint(w, strings.Repeat("x", size))
	})
	t.Cleanup(func() { close(stop) })
	o := w.options(t, registry.url(registryName))
	o.Idle = 200 * time.Millisecond
	r := open(t, o)
	resp, err := r.Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if string(text) != "the beginning" {
		t.Errorf("got %q", text)
	}
	isKind(t, err, Unreachable)

	resp, err = r.Do(t.Context(), manifest(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("the beginning"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * o.Idle) // the reader has its reasons
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("a slow reader got %d bytes, %v", n, err)
	}
}

func TestABodyThatIsCutShortIsNotTakenForWhole(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "short")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := w.open(t, registry.url(registryName)).Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	isKind(t, err, Broken)
}

func TestABodyEndsWithWhoAskedForIt(t *testing.T) {
	w := newWorld(t)
	gone := make(chan struct{})
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	r := w.open(t, registry.url(registryName))
	ctx, leave := context.WithCancel(t.Context())
	resp, err := r.Do(ctx, blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	leave()
	_, err = io.ReadAll(resp.Body)
	isKind(t, err, Cancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	_ = resp.Body.Close()
	within(t, "the upstream's request", gone)
	// And closing is enough.
	if resp, err = r.Do(t.Context(), blob(Anonymous())); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	within(t, "the upstream's request", gone)
	if resp.Body.(*stream).ctx.Err() == nil {
		t.Error("the request's context outlives its body")
	}
}

// Whoever gives up a download closes it from another goroutine, which the event that
// tells of it must bear.
func TestABodyMayBeClosedWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	site := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	})
	told := make(chan Event, 1)
	o := w.options(t, site.url(registryName))
	o.Observe = func(e Event) { told <- e }
	resp, err := open(t, o).Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	reading, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := io.ReadFull(resp.Body, make([]byte, 1))
		close(reading)
		for err == nil {
			_, err = resp.Body.Read(make([]byte, 100))
		}
		ended <- err
	}()
	<-reading
	resp.Body.Close()
	if err := <-ended; err == io.EOF {
		t.Error("the reader takes what was cut off for the end")
	}
	if e := <-told; e.Bytes == 0 {
		t.Errorf("the event tells of no byte: %+v", e)
	}
}
