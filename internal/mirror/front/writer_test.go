package front

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// spied is a connection of the server's that notes how bytes come to it.
type spied struct {
	*net.TCPConn
	written, fromFiles *atomic.Int64
}

func (s *spied) Write(p []byte) (int, error) {
	n, err := s.TCPConn.Write(p)
	s.written.Add(int64(n))
	return n, err
}

func (s *spied) ReadFrom(r io.Reader) (int64, error) {
	n, err := s.TCPConn.ReadFrom(r)
	if l, ok := r.(*io.LimitedReader); ok {
		r = l.R
	}
	if _, ok := r.(*os.File); ok { // what net and the kernel need for sendfile
		s.fromFiles.Add(n)
	} else {
		s.written.Add(n)
	}
	return n, err
}

func (s *spied) NetConn() net.Conn { return s.TCPConn }

type spyListener struct {
	net.Listener
	written, fromFiles atomic.Int64
}

func (l *spyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &spied{c.(*net.TCPConn), &l.written, &l.fromFiles}, nil
}

// serve runs a server as a listener of the mirror is one. secure: TLS, and HTTP/2 for
// who speaks it.
func serve(t *testing.T, secure bool, h http.Handler) (*httptest.Server, *spyListener) {
	t.Helper()
	return serveAs(t, secure, func(s *http.Server) { s.ConnContext = ConnContext }, h)
}

func serveAs(t *testing.T, secure bool, as func(*http.Server), h http.Handler) (*httptest.Server, *spyListener) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	spy := &spyListener{Listener: s.Listener}
	s.Listener = spy
	as(s.Config)
	s.EnableHTTP2 = secure
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, spy
}

// piece is how much a blob's file is sent of at a time.
const piece = 1 << 20

// feed sends a file of zeros again and again, as a cached blob is sent, and says how
// that ended.
func feed(t *testing.T, idle time.Duration, pieces int, ended chan<- error) http.HandlerFunc {
	t.Helper()
	name := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(name, make([]byte, piece), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(rw http.ResponseWriter, r *http.Request) {
		w := newWriter(rw, r, idle)
		defer w.end()
		w.Header().Set("Content-Type", "application/octet-stream")
		setLength(w.Header(), int64(pieces)*piece)
		f, err := os.Open(name)
		for range pieces {
			if err == nil {
				_, err = f.Seek(0, io.SeekStart)
			}
			if err == nil {
				_, err = io.CopyN(w, f, piece)
			}
		}
		f.Close()
		ended <- err
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func get(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestAFileLeavesBySendfile(t *testing.T) {
	ended := make(chan error, 1)
	s, spy := serve(t, false, feed(t, time.Minute, 8, ended))
	n, err := io.Copy(io.Discard, get(t, s.Client(), s.URL).Body)
	if err != nil || n != 8*piece || <-ended != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if files, rest := spy.fromFiles.Load(), spy.written.Load(); files < 8*piece-4096 || rest > 4096 { // net/http sends the first 512 bytes with the header
		t.Errorf("%d bytes from the file, %d by writes", files, rest)
	}
}

func TestAClientThatStopsReadingIsDropped(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "h2": true} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s, _ := serve(t, secure, feed(t, 200*time.Millisecond, 1000, ended))
			resp := get(t, s.Client(), s.URL)
			if secure != (resp.ProtoMajor == 2) {
				t.Fatal(resp.Proto)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Fatal("all was sent to a client that reads nothing")
				}
			case <-time.After(30 * time.Second):
				t.Fatal("it is waited for still")
			}
			if n, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Errorf("the client takes %d bytes for all", n)
			}
		})
	}
}

// The client takes much longer than the idle time for what is sent in one piece.
func TestASlowClientIsNotDropped(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("how far a client has read is known on Linux only")
	}
	const idle = time.Second
	ended := make(chan error, 1)
	h := feed(t, idle, 2, ended)
	s, _ := serve(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = connectionOf(r).transport().SetWriteBuffer(16 << 10)
		h(w, r)
	}))
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(16 << 10)
			}
			return c, err
		}, ReadBufferSize: 4 << 10,
	}}
	defer client.CloseIdleConnections()
	resp, begun := get(t, client, s.URL), time.Now()
	for read := int64(0); read < 2*piece; {
		n, err := io.CopyN(io.Discard, resp.Body, min(64<<10, 2*piece-read))
		if read += n; err != nil {
			t.Fatalf("dropped after %d bytes and %s: %v", read, time.Since(begun), err)
		}
		time.Sleep(150 * time.Millisecond)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 2*idle {
		t.Errorf("it took %s only: this shows nothing", took)
	}
}

// The time for which the upstream is waited for is none in which the client does not
// read. HTTP/2 ends a stream at its deadline, whether something is written or not.
func TestWaitingForTheUpstreamIsNotTheClientsIdleTime(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "h2": true} {
		t.Run(name, func(t *testing.T) {
			const idle = 200 * time.Millisecond
			s, _ := serve(t, secure, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w := newWriter(rw, r, idle)
				defer w.end()
				for range 3 {
					time.Sleep(3 * idle)
					if _, err := w.Write([]byte(strings.Repeat("a", 10))); err != nil {
						t.Error(err)
					}
					if err := w.control.Flush(); err != nil {
						t.Error(err)
					}
				}
			}))
			body, err := io.ReadAll(get(t, s.Client(), s.URL).Body)
			if err != nil || len(body) != 30 {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// A connection that is kept serves another request after a pause that is longer than
// the idle time.
func TestTheDeadlineOfOneAnswerIsNotThatOfTheNext(t *testing.T) {
	const idle = 100 * time.Millisecond
	s, _ := serve(t, false, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := newWriter(rw, r, idle)
		defer w.end()
		_, _ = io.WriteString(w, r.RemoteAddr)
	}))
	var from [2]string
	for i := range from {
		body, err := io.ReadAll(get(t, s.Client(), s.URL).Body)
		if err != nil {
			t.Fatal(err)
		}
		from[i] = string(body)
		time.Sleep(3 * idle)
	}
	if from[0] != from[1] {
		t.Errorf("two connections, %s and %s", from[0], from[1])
	}
}

func TestAConnectionBeneathWrappersIsFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := (Connection{Conn: &spied{TCPConn: c.(*net.TCPConn)}}).transport(); got != c {
		t.Errorf("found %v", got)
	}
	for _, other := range []net.Conn{nil, circle{}} {
		if got := (Connection{Conn: other}).transport(); got != nil {
			t.Errorf("%T: found %v", other, got)
		}
	}
	if n := acked(nil); n != 0 {
		t.Errorf("%d bytes acknowledged by nobody", n)
	}
}

// circle is a wrapper of itself.
type circle struct{ net.Conn }

func (c circle) NetConn() net.Conn { return c }
