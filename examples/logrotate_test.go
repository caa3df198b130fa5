//go:build linux

package examples_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/lab"
)

const (
	rotatedLog   = "/var/log/sluice/access.log"
	reopenByUnit = "systemctl kill --signal=USR1 sluice.service"
)

// testLogrotate rotates the log of a proxy under load, again and again, and counts
// the records.
func testLogrotate(t *testing.T, path string) {
	lab.Need(t, lab.Needs{Programs: []string{"logrotate"}})
	run(t, "logrotate", "--debug", path)
	text := read(t, path)
	dir := t.TempDir()
	access := filepath.Join(dir, "access.log")
	proxy := lab.StartLocal(t, fmt.Sprintf("[[listener]]\naddress = \"127.0.0.1:0\"\n[log]\naccess = %q\n", access))
	if strings.Count(text, rotatedLog+" {") != 1 || strings.Count(text, " "+reopenByUnit+"\n") != 1 {
		t.Fatalf("%s does not rotate %s by %q", path, rotatedLog, reopenByUnit)
	}
	text = strings.ReplaceAll(text, rotatedLog, access)
	text = strings.ReplaceAll(text, " "+reopenByUnit, fmt.Sprintf(" kill -USR1 %d", proxy.Pid()))
	conf := filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	var asked atomic.Int64
	var clients sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					refused(t, proxy)
					asked.Add(1)
				}
			}
		})
	}
	const rotations = 12 // fewer than are kept
	for range rotations {
		for before := asked.Load(); asked.Load() < before+50 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		run(t, "logrotate", "--force", "--state", filepath.Join(dir, "state"), conf)
		// The signal takes its time, and the next rotation must find it done.
		for info, err := os.Stat(access); (err != nil || info.Size() == 0) && !t.Failed(); info, err = os.Stat(access) {
			time.Sleep(time.Millisecond)
		}
	}
	close(over)
	clients.Wait()
	proxy.Stop(t)

	files, err := filepath.Glob(access + "*")
	if err != nil || len(files) != rotations+1 {
		t.Errorf("there are %q, %v", files, err)
	}
	ids := make(map[string]bool)
	for _, file := range files {
		before := len(ids)
		for line := range strings.Lines(rotated(t, file)) {
			var r struct{ ID, Outcome string }
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Outcome != "rule_denied" || ids[r.ID] {
				t.Fatalf("%s has %q: %v", file, line, err)
			}
			ids[r.ID] = true
		}
		if len(ids) == before {
			t.Errorf("%s has no record", file)
		}
	}
	if int64(len(ids)) != asked.Load() {
		t.Errorf("%d records of %d requests", len(ids), asked.Load())
	}
	t.Logf("%d records of %d requests in %d files", len(ids), asked.Load(), len(files))
}

// rotated returns the text of a log, compressed or not.
func rotated(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var from io.Reader = f
	if filepath.Ext(path) == ".gz" {
		if from, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refused is a request that leaves one record.
func refused(t *testing.T, proxy *lab.Local) {
	conn, err := net.DialTimeout("tcp", proxy.Addrs()[0].String(), 10*time.Second)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") {
		t.Errorf("answer %q, %v", answer, err)
	}
}
