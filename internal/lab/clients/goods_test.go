//go:build linux

package clients

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// debs is how many packages the apt repository holds: more than the ten
// requests that apt keeps in flight on one connection (Acquire::http::
// Pipeline-Depth).
const debs = 14

// file is one entry of an archive made by a test.
type file struct{ name, body string }

// stockApt puts an apt repository at /debian/: no signature, one component,
// debs packages of some size, which it returns. It needs dpkg-deb.
func (o *origin) stockApt(t *testing.T) (built [][]byte) {
	t.Helper()
	root := t.TempDir()
	pool := filepath.Join(root, "pool")
	mkdir(t, pool)
	var index strings.Builder
	for i := range debs {
		name := fmt.Sprintf("sluice-demo%d", i)
		control := fmt.Sprintf("Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: The Sluice Authors <nobody@origin.test>\nDescription: package %d of a test\n", name, i)
		tree := t.TempDir()
		write(t, filepath.Join(tree, "DEBIAN/control"), control)
		write(t, filepath.Join(tree, "usr/share/doc", name, "greeting"), strings.Repeat(greeting, 100*i+1))
		deb := filepath.Join(pool, name+"_1.0_all.deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", deb, err, out)
		}
		body := read(t, deb)
		built = append(built, body)
		fmt.Fprintf(&index, "%sFilename: pool/%s\nSize: %d\nSHA256: %x\n\n", control, filepath.Base(deb), len(body), sha256.Sum256(body))
	}
	packages := index.String()
	write(t, filepath.Join(root, "dists/stable/main/binary-all/Packages"), packages)
	write(t, filepath.Join(root, "dists/stable/Release"), fmt.Sprintf(
		"Suite: stable\nCodename: stable\nComponents: main\nArchitectures: all\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n %x %d main/binary-all/Packages\n",
		sha256.Sum256([]byte(packages)), len(packages)))
	o.mux.Handle("GET /debian/", http.StripPrefix("/debian/", http.FileServer(http.Dir(root))))
	return built
}

// stockPip puts a simple index (PEP 503) at /simple/ with the one wheel
// sluicedemo 1.0, and returns that wheel's bytes.
func (o *origin) stockPip(t *testing.T) []byte {
	t.Helper()
	files := []file{
		{"sluicedemo.py", "greeting = " + fmt.Sprintf("%q", greeting) + "\n"},
		{"sluicedemo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sluicedemo\nVersion: 1.0\n"},
		{"sluicedemo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
	var record strings.Builder
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.body))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.body))
	}
	const list = "sluicedemo-1.0.dist-info/RECORD"
	files = append(files, file{list, record.String() + list + ",,\n"})

	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, f.body)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	wheel := buf.Bytes()
	const name = "sluicedemo-1.0-py3-none-any.whl"
	o.serve("/simple/sluicedemo/", "text/html", fmt.Appendf(nil,
		`<!DOCTYPE html><html><body><a href="/wheels/%s#sha256=%x">%s</a></body></html>`, name, sha256.Sum256(wheel), name))
	o.serve("/wheels/"+name, "application/zip", wheel)
	return wheel
}

// stockNpm puts an npm registry at /npm/ with the one package sluice-demo.
func (o *origin) stockNpm(t *testing.T) {
	t.Helper()
	pack := gzipped(t, tarball(t, []file{
		{"package/package.json", `{"name":"sluice-demo","version":"1.0.0","main":"index.js"}`},
		{"package/index.js", fmt.Sprintf("module.exports = %q\n", greeting)},
	}))
	sum := sha512.Sum512(pack)
	o.serve("/tarballs/sluice-demo-1.0.0.tgz", "application/octet-stream", pack)
	o.mux.HandleFunc("GET /npm/sluice-demo", func(w http.ResponseWriter, r *http.Request) {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"name":      "sluice-demo",
			"dist-tags": map[string]string{"latest": "1.0.0"},
			"versions": map[string]any{"1.0.0": map[string]any{
				"name": "sluice-demo", "version": "1.0.0",
				"dist": map[string]string{
					"tarball":   scheme + "://" + r.Host + "/tarballs/sluice-demo-1.0.0.tgz",
					"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
				},
			}},
		})
	})
}

// stockGit puts a repository at /git/demo.git, to clone from and to push to,
// served by git's own http-backend. It returns the commit at its main branch.
func (o *origin) stockGit(t *testing.T) string {
	t.Helper()
	root, tree := t.TempDir(), t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = tree, append(lab.Bare(t.TempDir()), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	write(t, filepath.Join(tree, "greeting"), greeting)
	write(t, filepath.Join(tree, "noise"), string(noiseBytes(2, 1<<20)))
	git("add", ".")
	git("-c", "user.name=test", "-c", "user.email=nobody@origin.test", "commit", "-q", "-m", "greet")
	git("clone", "-q", "--bare", ".", filepath.Join(root, "demo.git"))
	git("-C", filepath.Join(root, "demo.git"), "config", "http.receivepack", "true")
	execPath := git("--exec-path")
	backend := &cgi.Handler{
		Path: filepath.Join(execPath, "git-http-backend"),
		Root: "/git",
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	o.mux.HandleFunc("/git/", func(w http.ResponseWriter, r *http.Request) {
		// A CGI program is told a length (RFC 3875, section 4.1.2), which a
		// chunked body has only once it is here.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		backend.ServeHTTP(w, r)
	})
	return git("rev-parse", "HEAD")
}

// serve answers GET of path with body.
func (o *origin) serve(path, kind string, body []byte) {
	o.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(body)
	})
}

func tarball(t *testing.T, files []file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.body))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, f.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t *testing.T, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func noiseBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	noise(seed).Read(b)
	return b
}

func sum256(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func sumFile(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, body string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
