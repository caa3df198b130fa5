//go:build linux

package setup

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// host is a directory that plays a machine, with programs of its own in front of the
// real ones: what they are called with stands in calls.
type host struct {
	System
	t     *testing.T
	calls string
}

func newHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, calls: filepath.Join(dir, "calls"), System: System{Root: filepath.Join(dir, "root"), Home: filepath.Join(dir, "home")}}
	for _, d := range []string{h.Root, h.Home, filepath.Join(dir, "bin")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	for _, name := range []string{"systemctl", "service", "rc-service"} {
		h.program(name, `echo "$0 $*" | sed 's,.*/,,' >>`+h.calls)
	}
	// docker info as of 20.10 and later, from what this daemon's files say.
	h.program("docker", `cat "$root"/etc/systemd/system/docker.service.d/*.conf "$root"/etc/*/docker "$root"/etc/docker/daemon.json 2>/dev/null | grep -iE '^(export )?(Environment=.)?HTTPS_PROXY|https-proxy' || true`)
	h.program("dockerd", `echo "Docker version 20.10.24+dfsg1, build 5d6db84"`)
	for path, text := range files {
		h.put(path, text)
	}
	return h
}

func (h *host) program(name, script string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(h.Root), "bin", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) put(path, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(path)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(path), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) get(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(h.path(path))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// called returns the commands of services since the last time.
func (h *host) called() string {
	text, _ := os.ReadFile(h.calls)
	_ = os.Remove(h.calls)
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; ")
}

// tree is everything on the machine: paths, modes, owners, links and texts.
func (h *host) tree() map[string]string {
	h.t.Helper()
	tree := make(map[string]string)
	for _, top := range []string{h.Root, h.Home} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			text := ""
			switch {
			case info.Mode().IsRegular():
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				text = string(data)
			case info.Mode()&fs.ModeSymlink != 0:
				if text, err = os.Readlink(path); err != nil {
					return err
				}
			}
			stat := info.Sys().(*syscall.Stat_t)
			tree[path] = strings.Join([]string{info.Mode().String(), string(rune('0' + stat.Uid%10)), text}, " ")
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	// Where records are kept may stay, empty.
	delete(tree, h.Root+"/var/lib/sluice")
	return tree
}

func (h *host) apply(client, place string, o Options) (string, error) {
	h.t.Helper()
	c, ok := Lookup(client)
	if !ok {
		h.t.Fatalf("no client %s", client)
	}
	var out bytes.Buffer
	_, err := h.Apply(context.Background(), c, place, o, &out)
	return out.String(), err
}

func (h *host) undo(client string, force bool) (string, error) {
	h.t.Helper()
	c, _ := Lookup(client)
	var out bytes.Buffer
	err := h.Undo(context.Background(), c, force, &out)
	return out.String(), err
}

const unit = "[Service]\nExecStart=/usr/bin/dockerd\n"

// systemdHost is a Debian or a Fedora, as far as docker is concerned.
func systemdHost(t *testing.T, more map[string]string) *host {
	t.Helper()
	h := newHost(t, map[string]string{"/run/systemd/system/keep": "", "/usr/lib/systemd/system/docker.service": unit, "/var/lib/keep": ""})
	for path, text := range more {
		h.put(path, text)
	}
	return h
}
