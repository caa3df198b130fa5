//go:build linux

package lab

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packages.txt names the Debian package of each program that tests run.
//
//go:embed packages.txt
var packages string

// Needs is what a test asks of the machine. The zero value asks nothing.
type Needs struct {
	// Root asks for the rights to make network and mount namespaces.
	Root bool
	// Programs are names of binaries in PATH or a directory of system binaries, or
	// absolute paths of binaries.
	Programs []string
	// Part says in a few words what is left out without them; empty: the test's
	// name stands for it.
	Part string
}

// Need skips the test where the machine lacks something, with a sentence that
// says what is left out and why. In CI (the variable CI is "true") where nobody
// reads skips, it fails the test instead.
func Need(t testing.TB, what Needs) {
	t.Helper()
	missing := what.missing()
	if len(missing) == 0 {
		return
	}
	part := what.Part
	if part == "" {
		part = t.Name()
	}
	LeaveOut(t, fmt.Sprintf("%s, for want of %s", part, strings.Join(missing, ", ")))
}

func (what Needs) missing() []string {
	var missing []string
	programs := what.Programs
	if what.Root {
		programs = append([]string{"ip", "nsenter", "unshare", "mount", "sh"}, programs...)
	}
	for _, name := range programs {
		if _, err := exec.LookPath(program(name)); err != nil {
			missing = append(missing, name+debianPackage(name))
		}
	}
	if what.Root {
		if os.Geteuid() != 0 {
			missing = append(missing, "root")
		} else if out, err := exec.Command(program("unshare"), "--net", "--mount", "true").CombinedOutput(); err != nil {
			missing = append(missing, fmt.Sprintf("namespaces (unshare: %v: %s)", err, strings.TrimSpace(string(out))))
		}
	}
	return missing
}

// debianPackage is a remark on where to get a program, or nothing.
func debianPackage(name string) string {
	for line := range strings.Lines(packages) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return " (Debian package " + f[1] + ")"
		}
	}
	return ""
}

// systemPath ends the PATH of all commands: a user's PATH often lacks the sbin
// directories, where Debian keeps dockerd and ip.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// program is the path of a program, or name itself where there is none.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range filepath.SplitList(systemPath) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}

// environment is the test's own, without the proxies that it may have been
// started with, in the C locale.
func environment() []string {
	env := []string{"LC_ALL=C", "PATH=" + strings.Trim(os.Getenv("PATH")+":"+systemPath, ":")}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch upper := strings.ToUpper(name); {
		case name == "PATH", name == "LANGUAGE", strings.HasPrefix(name, "LC_"), name == "LANG":
		case strings.HasSuffix(upper, "_PROXY"):
		default:
			env = append(env, kv)
		}
	}
	return env
}
