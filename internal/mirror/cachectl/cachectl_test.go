//go:build unix

package cachectl

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sluice/internal/config/strict"
	"sluice/internal/mirror/console"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mirror is a cache that a mirror runs on, by what an operator sees of it.
type mirror struct {
	Place
	store *store.Store
}

func startMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{Place: Place{Directory: filepath.Join(t.TempDir(), "cache")}}
	var err error
	if m.store, err = store.Open(store.Options{Dir: m.Directory, MaxSize: 1e9}); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"cache": map[string]any{"directory": m.Directory}})
	if err != nil {
		t.Fatal(err)
	}
	h := console.New(console.Options{
		Store: m.store, Config: func() []byte { return config }, Recent: record.NewRing(1),
		Metrics: metrics.New(metrics.Options{Store: m.store.Stats}),
	})
	server := httptest.NewServer(h)
	t.Cleanup(func() { server.Close(); h.Close(); m.store.Close() })
	m.Admin = server.Listener.Addr().String()
	return m
}

// keep puts content into a repository and returns its digest.
func (m *mirror) keep(t *testing.T, repository, body string) oci.Digest {
	t.Helper()
	h := oci.Digest("sha256:" + strings.Repeat("0", 64)).New()
	h.Write([]byte(body))
	d := oci.FromHash("sha256", h)
	registry, name, _ := strings.Cut(repository, "/")
	if err := m.store.Put(d, []byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := m.store.Link(oci.Repository{Registry: registry, Name: name}, d, store.Link{Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	return d
}

func target(t *testing.T, s string) Target {
	t.Helper()
	to, err := ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// open opens a cache and tells whether a mirror was asked.
func open(t *testing.T, p Place) (c Cache, byMirror bool) {
	t.Helper()
	c, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, byMirror = c.(asked)
	return c, byMirror
}

func TestWhatIsCachedLooksTheSameFromInsideAndOutside(t *testing.T) {
	m := startMirror(t)
	m.keep(t, "docker.io/library/alpine", "a")
	m.keep(t, "ghcr.io/acme/app", "bb")
	byMirror, ok := open(t, m.Place)
	if !ok {
		t.Fatal("the mirror was not asked")
	}
	asked, err := byMirror.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := Look(m.Place)
	if err != nil {
		t.Fatal(err)
	}
	looked, err := seen.List(t.Context())
	if err != nil || len(looked) != 2 {
		t.Fatalf("%v, %v", looked, err)
	}
	for i := range looked { // the mirror knows the time of a use before the disk does
		asked[i].LastUsed = looked[i].LastUsed
	}
	if d := cmp.Diff(index(asked), index(looked)); d != "" {
		t.Error(d)
	}
}

func index(list []Item) map[oci.Digest]Item {
	m := make(map[oci.Digest]Item)
	for _, i := range list {
		i.LastUsed = i.LastUsed.Truncate(0)
		m[i.Digest] = i
	}
	return m
}

// The orders do the same on a directory and through a mirror.
func TestOrdersAreCarriedOutByWhoeverHasTheCache(t *testing.T) {
	for _, running := range []bool{true, false} {
		m := startMirror(t)
		m.keep(t, "docker.io/library/alpine", "a")
		b := m.keep(t, "ghcr.io/acme/app", "bb")
		m.keep(t, "ghcr.io/acme/web", "ccc")
		d := m.keep(t, "quay.io/x", "dddd")
		if !running {
			m.store.Close()
		}
		c, byMirror := open(t, m.Place)
		if byMirror != running {
			t.Fatalf("the mirror was asked: %v", byMirror)
		}
		ctx := t.Context()
		if freed, err := c.Remove(ctx, target(t, "docker.io/library/alpine")); freed != (Freed{1, 1}) || err != nil {
			t.Errorf("running %v: a repository: %v, %v", running, freed, err)
		}
		if _, err := c.Remove(ctx, target(t, "docker.io/library/alpine")); !errors.Is(err, store.ErrNotCached) {
			t.Errorf("running %v: once more: %v", running, err)
		}
		if _, err := c.Remove(ctx, target(t, "docker.io")); err == nil {
			t.Errorf("running %v: a registry of which there is nothing: %v", running, err)
		}
		if freed, err := c.Remove(ctx, target(t, string(b))); freed != (Freed{1, 2}) || err != nil {
			t.Errorf("running %v: a digest: %v, %v", running, freed, err)
		}
		if freed, err := c.Remove(ctx, target(t, "ghcr.io")); freed != (Freed{1, 3}) || err != nil {
			t.Errorf("running %v: a registry: %v, %v", running, freed, err)
		}
		damage(t, m.Directory, d)
		var found []Checked
		err := c.Verify(ctx, strict.Unlimited, func(one Checked) { found = append(found, one) })
		if err != nil || len(found) != 1 || found[0].Digest != d || found[0].Error == "" {
			t.Errorf("running %v: verify: %v, %v", running, found, err)
		}
		if !running {
			continue
		}
		m.keep(t, "quay.io/x", "eeeee")
		if freed, err := c.Prune(ctx, 0); freed != (Freed{1, 5}) || err != nil {
			t.Errorf("prune: %v, %v", freed, err)
		}
	}
}

// damage changes the file of a content.
func damage(t *testing.T, dir string, d oci.Digest) {
	t.Helper()
	done := false
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, d.Hex()) && strings.Contains(path, "blobs") {
			done = true
			return os.WriteFile(path, []byte("zzzz"), 0o600)
		}
		return err
	})
	if err != nil || !done {
		t.Fatalf("%s was not found: %v", d, err)
	}
}

func TestAMirrorThatHasAnotherCacheIsGivenNoOrders(t *testing.T) {
	m, other := startMirror(t), startMirror(t)
	_, err := Open(Place{m.Directory, other.Admin})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "answers for the cache in "+other.Directory) {
		t.Errorf("got %v", err)
	}
	_, err = Open(Place{m.Directory, ""})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "the admin interface of the mirror is off") {
		t.Errorf("without an admin address: %v", err)
	}
}

func TestNoCacheIsMadeByLookingForOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := Look(Place{Directory: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("look: %v", err)
	}
	if _, err := Open(Place{Directory: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is there now")
	}
	if _, err := Open(Place{Directory: t.TempDir()}); !errors.Is(err, store.ErrNotCached) {
		t.Errorf("a directory that is no cache: %v", err)
	}
}

func TestAVerificationCanBeGivenUp(t *testing.T) {
	m := startMirror(t)
	m.keep(t, "quay.io/x", strings.Repeat("x", 1000))
	m.keep(t, "quay.io/y", strings.Repeat("y", 1000))
	m.store.Close()
	c, _ := open(t, m.Place)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Verify(ctx, 1, func(Checked) { cancel() }) // a byte per second
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsToBeRemovedIsNamedInFull(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for text, want := range map[string]Target{
		digest:                     {Digest: oci.Digest(digest)},
		"ghcr.io":                  {Registry: "ghcr.io"},
		"localhost/app":            {Registry: "localhost", Repository: "app"},
		"docker.io/library/alpine": {Registry: "docker.io", Repository: "library/alpine"},
		"reg.example:5000/a/b":     {Registry: "reg.example:5000", Repository: "a/b"},
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "alpine", "library/alpine", "docker.io/", "docker.io/alpine:3", "docker.io/alpine@" + digest, "sha256:ab", "docker.io/../x", "docker.io/A"} {
		if got, err := ParseTarget(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
