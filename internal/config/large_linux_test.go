package config

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// A deny list of a million names and a hundred thousand networks loads within
// 300 MB. How long it takes is logged, and measured by the bench.
func TestALargeFileLoadsWithinBounds(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("the race detector multiplies memory; make test runs it without")
	}
	const mostMemory = 300 << 20
	path := filepath.Join(t.TempDir(), "large.toml")
	writeLarge(t, path)
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoadsTheLargeFile$", "-test.v")
	cmd.Env = append(os.Environ(), "LARGE_FILE="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
	if peak == nil {
		t.Fatalf("no peak of memory in: %s", out)
	}
	kib, _ := strconv.Atoi(string(peak[1]))
	took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.Logf("%d MB at most, %s of processor time", kib<<10/1e6, took.Round(10*time.Millisecond))
	if kib<<10 > mostMemory {
		t.Errorf("over %d MB", mostMemory/1000000)
	}
}

// TestLoadsTheLargeFile runs in a process of its own, which the test above
// measures.
func TestLoadsTheLargeFile(t *testing.T) {
	path := os.Getenv("LARGE_FILE")
	if path == "" {
		t.Skip("part of another test")
	}
	c, err := Load(Flags{Config: path}, shipped())
	if err != nil {
		t.Fatal(err)
	}
	if got := warnings(c); len(got) != 1 || got[0] != path+`:1100013:1: rule "last" can never decide: rule "allowed" before it is for all the same requests, and more or as many; take it out, or put it before that one` {
		t.Errorf("warnings %q", got)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", status)
}

func writeLarge(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, "[[rule]]\nname = \"denied\"\naction = \"deny\"\nclients = [\n")
	for i := range 100_000 {
		fmt.Fprintf(w, "  \"%d.%d.%d.0/26\",\n", 11+i>>16, i>>8&0xff, i&0xff)
	}
	fmt.Fprint(w, "]\nto = [\n")
	for i := range 1_000_000 {
		fmt.Fprintf(w, "  \"host-%07d.example.com\",\n", i)
	}
	fmt.Fprint(w, "]\n\n[[rule]]\nname = \"allowed\"\naction = \"allow\"\nclients = [\"192.0.2.1\"]\n")
	fmt.Fprint(w, "[[rule]]\nname = \"last\"\naction = \"deny\"\nclients = [\"192.0.2.1\"]\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
