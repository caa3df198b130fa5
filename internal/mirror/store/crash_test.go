package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

const (
	// crashDir names the directory that this program uses until it is killed.
	crashDir = "SLUICE_STORE_CRASH_DIR"
	// What it uses it for: so many contents, more than there is room for.
	crashContents = 40
	crashMax      = 2 << 20
	crashKills    = 30
)

func crashContent(seed int) []byte { return noise(uint64(seed), 1+seed*7919%(200<<10)) }

// TestAKillAtAnyTimeLeavesEveryByteAccountedFor has a process use a store in all
// ways, kills it, and looks at what it has left, many times over in one directory.
func TestAKillAtAnyTimeLeavesEveryByteAccountedFor(t *testing.T) {
	dir := t.TempDir()
	contents := make(map[oci.Digest][]byte)
	for seed := range crashContents {
		contents[oci.FromBytes(crashContent(seed))] = crashContent(seed)
	}
	seen := Stats{}
	for range crashKills {
		kill(t, dir, time.Duration(rand.N(60))*time.Millisecond)
		s := open(t, dir, crashMax)
		agree(t, s, dir)
		stats := s.Stats()
		if stats.Bytes > crashMax {
			t.Fatalf("more than there is room for: %+v", stats)
		}
		seen.Blobs += stats.Blobs
		seen.Partials += stats.Partials
		for _, item := range s.List() {
			intact(t, dir, item, contents[item.Digest])
		}
		if files := recordFiles(t, dir); len(files) != s.known.records {
			t.Fatalf("%d records are known, on disk are %q", s.known.records, files)
		}
		for d := range s.known.holders {
			if there(s, d) != "1" {
				t.Fatalf("%s is said to be held, and is not there", d)
			}
		}
		s.Close()
	}
	if seen.Blobs == 0 || seen.Partials == 0 {
		t.Errorf("no kill left anything to look at: %+v", seen)
	}
	s := open(t, dir, 100<<20)
	for d, content := range contents {
		if got, err := whole(s.Fetch("", d, int64(len(content)), (&origin{content: content}).fetch)); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("afterwards: %d bytes of %d, %v", len(got), len(content), err)
		}
	}
	settled(t, s)
	agree(t, s, dir)
}

// intact compares what is kept with what it is to be, or to become.
func intact(t *testing.T, dir string, item Item, want []byte) {
	t.Helper()
	name := blobPath(item.Digest)
	if item.Kind == KindPartial {
		names, err := filepath.Glob(filepath.Join(dir, partialPath(item.Digest, "")+"*")) // of whatever origin
		if err != nil || len(names) != 1 {
			t.Fatalf("%s has the parts %q, %v", item.Digest, names, err)
		}
		name = partialDir + "/" + filepath.Base(names[0])
		want = want[:min(item.Size, int64(len(want)))]
	}
	if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, which are not the right %d: %v", name, len(got), len(want), err)
	}
}

// kill starts this program again, to use the directory, and kills it after a time.
func kill(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process too
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Errorf("the process says %q, %v", line, err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Errorf("it has ended by itself: %v", err)
	}
}

// churn uses a store in all ways until the process is killed.
func churn(dir string) {
	s, err := Open(Options{Dir: dir, MaxSize: crashMax})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	s.times.pause = time.Millisecond
	fmt.Println("ready")
	for range 8 {
		go func() {
			for {
				churnOnce(s)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is no more
	os.Exit(0)
}

func churnOnce(s *Store) {
	content := crashContent(rand.N(crashContents))
	d := oci.FromBytes(content)
	r := oci.Repository{Registry: "docker.io", Name: fmt.Sprint("crash/", rand.N(5))}
	switch rand.N(14) {
	case 0:
		_ = s.Put(d, content)
	case 1:
		_, _ = s.Remove(d)
	case 2:
		_ = s.SetTag(r, fmt.Sprint("v", rand.N(5)), Tag{Digest: d, Checked: time.Now()})
	case 3:
		_ = s.Link(r, d, Link{Size: int64(len(content))})
	case 4:
		_ = s.SetState(r, State{Visibility: Public, Checked: time.Now()})
	case 5:
		if rand.N(5) == 0 {
			_, _ = s.RemoveRepository(r)
		}
	case 6:
		s.Resize(crashMax - rand.N[int64](crashMax/2))
	case 7:
		s.Prune(rand.N[int64](crashMax))
	default:
		fetch := s.Fetch
		if rand.N(2) == 0 {
			fetch = s.FetchFrom
		}
		c := fetch([]string{"", "docker.io", "ghcr.io"}[rand.N(3)], d, -1, func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
			rest := content[offset:]
			piece := rest[:rand.N(len(rest)+1)]
			slow := readerFunc(func([]byte) (int, error) { time.Sleep(rand.N(5 * time.Millisecond)); return 0, io.EOF })
			return io.NopCloser(io.MultiReader(bytes.NewReader(piece), slow, bytes.NewReader(rest[len(piece):]))), int64(len(content)), nil
		})
		_, _ = c.CopyTo(context.Background(), io.Discard, 0, int64(rand.N(len(content)+1)), nil)
		c.Close()
	}
}
