//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/lab"
)

// startServe runs a mirror with a configuration, and a cache of its own.
func startServe(t *testing.T, configuration string) *lab.Started {
	t.Helper()
	return lab.Start(t, exec.Command("sluice-mirror", "serve", "--admin", "", "--listen", "127.0.0.1:0",
		"--cache", filepath.Join(t.TempDir(), "cache"), "--config", configuration))
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const loopbackRule = "[[rule]]\nname = \"%s\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\n"

func TestSIGHUPReadsTheFileAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mirror.toml")
	writeFile(t, name, "")
	p := startServe(t, name)
	address := p.Listens()
	p.Says(`"ready"`)
	if got := ping(t, address); got != http.StatusForbidden {
		t.Errorf("without a rule it answers %d", got)
	}
	writeFile(t, name, fmt.Sprintf(loopbackRule, "new"))
	p.Signal(syscall.SIGHUP)
	p.Says(`"configuration reloaded"`)
	if got := ping(t, address); got != http.StatusOK {
		t.Errorf("with the new rule it answers %d", got)
	}
	writeFile(t, name, "[[rule]\n")
	p.Signal(syscall.SIGHUP)
	if line := p.Says("nothing was changed"); !strings.Contains(line, name+":1:") {
		t.Errorf("the error does not say where: %s", line)
	}
	if got := ping(t, address); got != http.StatusOK {
		t.Errorf("after a file that is wrong it answers %d", got)
	}
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// ping asks as clients do first, and returns the status.
func ping(t *testing.T, address string) int {
	t.Helper()
	resp, err := http.Get("http://" + address + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestSIGUSR1HasTheLogOpenedAnew(t *testing.T) {
	dir := t.TempDir()
	name, log := filepath.Join(dir, "mirror.toml"), filepath.Join(dir, "access.log")
	writeFile(t, name, fmt.Sprintf(loopbackRule, "all")+"[log]\naccess = \""+log+"\"\n")
	p := startServe(t, name)
	p.Says(`"ready"`)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGUSR1)
	p.Says(`"logs reopened"`)
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A pull that is under way gets the time of the drain, unless somebody has none.
func TestASecondSIGTERMCutsWhatTheFirstLetsGoOn(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		close(begun)
		<-release
	}))
	defer upstream.Close()
	defer close(release)
	name := filepath.Join(t.TempDir(), "mirror.toml")
	writeFile(t, name, fmt.Sprintf(loopbackRule, "all")+
		"[[upstream]]\nname = \"reg.example\"\nurl = \""+upstream.URL+"\"\n[egress]\nallow_private = [\"127.0.0.1\"]\n[server]\ndrain = \"1h\"\n")
	p := startServe(t, name)
	address := p.Listens()
	p.Says(`"ready"`)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /v2/acme/app/blobs/sha256:%064d HTTP/1.1\r\nHost: mirror\r\n\r\n", 7)
	<-begun
	p.Signal(syscall.SIGTERM)
	p.Says(`"draining"`)
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the pull was not cut: %v", err)
	}
}
