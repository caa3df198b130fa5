//go:build linux

package examples_test

import (
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"

	"sluice/internal/lab"
)

func testEnvironmentFile(t *testing.T, path string) {
	vars := environmentFile(t, read(t, path))
	sendsPullsToTheRelay(t, vars)

	// An init script of old reads the file with a shell, and has to see the same.
	out := run(t, "sh", "-eu", "-c", `set -a; . "$1"; env`, "sh", "./"+path)
	shell := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); vars[name] != "" {
			shell[name] = value
		}
	}
	if !maps.Equal(vars, shell) {
		t.Errorf("systemd reads %v, a shell reads %v", vars, shell)
	}

	if dropIn := environmentOf(t, read(t, "docker.service.d/http-proxy.conf")); !maps.Equal(vars, dropIn) {
		t.Errorf("this file says %v, the drop-in says %v", vars, dropIn)
	}
}

func testDropIn(t *testing.T, path string) {
	sendsPullsToTheRelay(t, environmentOf(t, read(t, path)))

	lab.Need(t, lab.Needs{Programs: []string{"systemd-analyze"}})
	dir := t.TempDir()
	unit := filepath.Join(dir, "docker.service")
	if err := os.WriteFile(unit, []byte("[Service]\nExecStart=/bin/sh -c env\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, filepath.Dir(path)), os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit)
	// Units and their drop-ins are looked for here, and then in the usual places.
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// environmentFile reads the part of systemd's EnvironmentFile= syntax (see
// systemd.exec(5)) on which a shell agrees: comments and lines NAME=VALUE with
// nothing that is quoted or expanded.
func environmentFile(t *testing.T, text string) map[string]string {
	t.Helper()
	vars := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(line, " \t\"'\\$`;&|<>*?[]{}~") {
			t.Errorf("systemd and a shell may read this line in two ways: %s", line)
		}
		vars[name] = value
	}
	return vars
}

// environmentOf reads the lines Environment="NAME=VALUE" of a unit file.
func environmentOf(t *testing.T, text string) map[string]string {
	t.Helper()
	vars := map[string]string{}
	for line := range strings.Lines(text) {
		quoted, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "Environment=")
		if !ok {
			continue
		}
		name, value, ok := strings.Cut(strings.Trim(quoted, `"`), "=")
		if !ok || strings.ContainsAny(value, `"'\% `) {
			t.Errorf("systemd may read more into this line: %s", line)
		}
		vars[name] = value
	}
	return vars
}

// sendsPullsToTheRelay asks the code that dockerd asks (net/http's, which is
// golang.org/x/net/http/httpproxy) where requests go under these variables.
func sendsPullsToTheRelay(t *testing.T, vars map[string]string) {
	t.Helper()
	const relay = "http://relay.example.internal:3128"
	config := httpproxy.Config{HTTPProxy: vars["HTTP_PROXY"], HTTPSProxy: vars["HTTPS_PROXY"], NoProxy: vars["NO_PROXY"]}
	if len(vars) != 3 {
		t.Errorf("there are other variables than HTTP_PROXY, HTTPS_PROXY and NO_PROXY: %v", vars)
	}
	proxyFor := config.ProxyFunc()
	for target, want := range map[string]string{
		"https://registry-1.docker.io/v2/":          relay,
		"https://production.cloudfront.docker.com/": relay,
		"http://mirror.example.com/":                relay,
		"http://localhost:5000/v2/":                 "",
		"https://127.0.0.1/":                        "",
		"https://[::1]/":                            "",
		"https://registry.example.internal/v2/":     "",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p, err := proxyFor(u); err != nil {
			t.Errorf("%s: %v", target, err)
		} else if p != nil {
			got = p.String()
		}
		if got != want {
			t.Errorf("%s goes by %q, not by %q", target, got, want)
		}
	}
}
