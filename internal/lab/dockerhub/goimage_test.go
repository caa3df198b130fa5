//go:build linux

package dockerhub

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

// goImage is a stand-in for golang:1.26 where no registry is at hand.
const goImage = "lab/golang"

// importGoImage makes an image for the Dockerfile's first stage out of what the
// machine has: its Go, its shell and mkdir, its list of authorities, and the modules that the
// commands need.
func importGoImage(t *testing.T, d *Docker) {
	t.Helper()
	cmd := d.Command(t.Context(), "import",
		"--change", "ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOPROXY=off GOTOOLCHAIN=local",
		"-", goImage)
	archive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &rootfs{t: t, tar: tar.NewWriter(archive)}
	w.directory("tmp")
	w.programs("bin/sh", "bin/mkdir")
	w.file("/etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-certificates.crt")
	goroot := goEnv(t, "GOROOT")
	for _, part := range []string{"bin", "src", "pkg", "go.env", "VERSION"} {
		w.tree(filepath.Join(goroot, part), path.Join("usr/local/go", part))
	}
	w.tree(modules(t), "go/pkg/mod")
	if err := w.tar.Close(); err != nil {
		t.Fatal(err)
	}
	_ = archive.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("docker import: %v: %s", err, &said)
	}
}

// modules fills a module cache with what the commands are built of and no more,
// taking it from the machine's own cache instead of the network.
func modules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-modcacherw", "-trimpath", "-o", os.DevNull, "./cmd/sluice", "./cmd/sluice-mirror")
	cmd.Dir = lab.Root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOMODCACHE="+dir,
		"GOPROXY=file://"+filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"), "GOSUMDB=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build with a module cache of its own: %v\n%s", err, out)
	}
	return dir
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// rootfs writes a root file system as an archive.
type rootfs struct {
	t   *testing.T
	tar *tar.Writer
}

func (w *rootfs) directory(name string) {
	w.t.Helper()
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o777, ModTime: time.Unix(0, 0)}); err != nil {
		w.t.Fatal(err)
	}
}

// file adds the file at source, whatever links lead there, as name.
func (w *rootfs) file(source, name string) {
	w.t.Helper()
	f, err := os.Open(source)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		w.t.Fatal(err)
	}
	head, err := tar.FileInfoHeader(info, "")
	if err != nil {
		w.t.Fatal(err)
	}
	head.Name = name
	if err := w.tar.WriteHeader(head); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.Copy(w.tar, f); err != nil {
		w.t.Fatal(err)
	}
}

var sharedObject = regexp.MustCompile(`/\S+\.so\S*`)

// programs adds programs of the machine and the libraries that ldd names, each once: an
// archive that has a path twice is refused.
func (w *rootfs) programs(names ...string) {
	w.t.Helper()
	libraries := map[string]bool{}
	for _, name := range names {
		w.file("/"+name, name)
		// A static program makes ldd fail and has nothing to add.
		list, _ := exec.Command("ldd", "/"+name).Output()
		for _, library := range sharedObject.FindAllString(string(list), -1) {
			if !libraries[library] {
				w.file(library, strings.TrimPrefix(library, "/"))
			}
			libraries[library] = true
		}
	}
}

// tree adds a file or directory, leaving out what no build reads. Debian's Go
// has links at its top, which are followed.
func (w *rootfs) tree(source, name string) {
	w.t.Helper()
	source, err := filepath.EvalSymlinks(source)
	if err != nil {
		w.t.Fatal(err)
	}
	err = filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		switch below := strings.TrimPrefix(file, source); {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return fs.SkipDir
		case entry.IsDir(), strings.HasSuffix(file, "_test.go"), strings.HasSuffix(file, ".zip"):
			return nil
		default:
			w.file(file, name+filepath.ToSlash(below))
			return nil
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
