package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice-mirror": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
		"fill":          func() { exit(fill(os.Args[1])) },
	})
}

// TestScripts runs the command as a user does; each script is one story.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("there is no condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
	})
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fill makes a cache with two repositories that have a layer in common, and says by
// what digests.
func fill(dir string) error {
	s, err := store.Open(store.Options{Dir: dir, MaxSize: 1e9})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, c := range []struct{ name, body, tag, repositories string }{
		{"manifest", `{"schemaVersion":2}`, "3.22", "docker.io/library/alpine"},
		{"layer", strings.Repeat("x", 123456), "", "docker.io/library/alpine ghcr.io/acme/app"},
		{"other", strings.Repeat("y", 2000), "", "ghcr.io/acme/app"},
	} {
		h := oci.Digest("sha256:" + strings.Repeat("0", 64)).New()
		h.Write([]byte(c.body))
		d := oci.FromHash("sha256", h)
		if err := s.Put(d, []byte(c.body)); err != nil {
			return err
		}
		for name := range strings.FieldsSeq(c.repositories) {
			registry, path, _ := strings.Cut(name, "/")
			r := oci.Repository{Registry: registry, Name: path}
			link := store.Link{MediaType: "application/octet-stream", Size: int64(len(c.body))}
			if c.tag != "" {
				link.MediaType = oci.ManifestTypes()[0]
			}
			if err := s.Link(r, d, link); err != nil {
				return err
			}
			if c.tag != "" {
				if err := s.SetTag(r, c.tag, store.Tag{Digest: d, MediaType: link.MediaType, Checked: time.Now()}); err != nil {
					return err
				}
			}
		}
		fmt.Println(c.name, d)
	}
	return nil
}
