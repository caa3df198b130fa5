package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/mirror/oci"
)

// sendDir has this program serve warm content, from the directory that it names.
const sendDir = "SLUICE_STORE_SEND_DIR"

const sendSize = 32 << 20

// sink is a connection over loopback whose other end reads all and forgets it.
func sink(t testing.TB) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done })
	return c.(*net.TCPConn)
}

// TestWarmContentIsSentByTheKernel has another process serve content over TCP and
// over HTTP, and counts its system calls on the file: sendfile(2) is to have moved
// them, and no read(2) more than the
// first few.
func TestWarmContentIsSentByTheKernel(t *testing.T) {
	if dir := os.Getenv(sendDir); dir != "" {
		serveWarm(t, dir)
		return
	}
	lab.Need(t, lab.Needs{Programs: []string{"strace"}})
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-y", "-qq", "-e", "trace=read,pread64,readv,preadv,preadv2,mmap,sendfile,splice,copy_file_range", "-o", trace,
		self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), sendDir+"="+filepath.Join(dir, "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			lab.LeaveOut(t, "system calls of a warm read, which strace may not see here")
		}
		t.Fatalf("%v\n%s", err, out)
	}
	sent, others := callsOnBlobs(t, trace)
	// net/http reads the first bytes of an answer whose head it has not sent yet.
	const sniffed = 512
	if want := int64(2 * sendSize); sent > want || sent < want-sniffed || len(others) > 1 {
		t.Errorf("sendfile moved %d bytes of %d; other calls: %q", sent, want, others)
	}
}

// callsOnBlobs adds up what sendfile has moved out of blobs, and returns the other
// calls on such files. A call that was interrupted by another thread's is on two
// lines: the first tells the file, the second the result.
func callsOnBlobs(t *testing.T, trace string) (sent int64, others []string) {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	result := regexp.MustCompile(`\) += (-?\d+)`)
	unfinished := make(map[string]bool) // by process
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		pid, _, _ := strings.Cut(line, " ")
		resumed := strings.Contains(line, "<... sendfile resumed>") && unfinished[pid]
		if !resumed && !strings.Contains(line, "/"+blobsDir+"/sha256/") {
			continue
		}
		if !resumed && !strings.Contains(line, "sendfile(") {
			others = append(others, line)
			continue
		}
		unfinished[pid] = strings.HasSuffix(line, "<unfinished ...>")
		if m := result.FindStringSubmatch(line); m != nil {
			if n, _ := strconv.ParseInt(m[1], 10, 64); n > 0 {
				sent += n
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sent, others
}

// serveWarm keeps content, and sends it once to a TCP connection and once as the
// answer to an HTTP request.
func serveWarm(t *testing.T, dir string) {
	s := open(t, dir, 100<<20)
	d := put(t, s, 1, sendSize)
	send := func(w io.Writer) error {
		c, ok := s.Get(d)
		if !ok {
			return fmt.Errorf("it is not there")
		}
		defer c.Close()
		n, err := c.CopyTo(context.Background(), w, 0, -1, func() error { return nil })
		if err == nil && n != sendSize {
			err = fmt.Errorf("%d bytes", n)
		}
		return err
	}
	if err := send(sink(t)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(sendSize))
		w.WriteHeader(http.StatusOK)
		if err := send(w); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := d.New()
	if _, err := io.Copy(h, resp.Body); err != nil || oci.FromHash(d.Algorithm(), h) != d {
		t.Errorf("other content: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// BenchmarkWarmCopyTo sends warm content over loopback.
func BenchmarkWarmCopyTo(b *testing.B) {
	s := open(b, b.TempDir(), 100<<20)
	d := put(b, s, 1, sendSize)
	conn := sink(b)
	b.SetBytes(sendSize)
	b.ReportAllocs()
	for b.Loop() {
		c, ok := s.Get(d)
		if !ok {
			b.Fatal("it is not there")
		}
		if _, err := c.CopyTo(context.Background(), conn, 0, -1, nil); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkColdFetch hashes and writes what memory could give at once.
func BenchmarkColdFetch(b *testing.B) {
	s := open(b, b.TempDir(), 100<<20)
	content := noise(1, sendSize)
	d := oci.FromBytes(content)
	b.SetBytes(sendSize)
	b.ReportAllocs()
	for b.Loop() {
		c := s.Fetch("", d, sendSize, (&origin{content: content}).fetch)
		if _, err := c.CopyTo(context.Background(), io.Discard, 0, -1, nil); err != nil {
			b.Fatal(err)
		}
		if err := c.wait(context.Background()); err != nil {
			b.Fatal(err)
		}
		c.Close()
		b.StopTimer()
		if _, err := s.Remove(d); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
