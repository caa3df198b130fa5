//go:build linux

package examples_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/internal/lab"
)

// grace is how long a container or a unit has to wait for Sluice to end: its
// own `drain`, which is 8 s where the file does not say, and some more.
const grace = 10 * time.Second

func testConfiguration(t *testing.T, path string) {
	sluice := lab.Sluice(t)
	if out := run(t, sluice, "check", "--config", path); !strings.Contains(out, " 0 warnings") {
		t.Errorf("sluice check has something to say against it:\n%s", out)
	}

	questions := []struct {
		client, to string
		want       string // rule that decides; empty: none does
	}{
		{"192.0.2.10", "registry-1.docker.io:443", "docker-hosts"},
		{"198.51.100.77", "production.cloudfront.docker.com:443", "docker-hosts"},
		{"192.0.2.10", "deb.debian.org:80", "packages"},
		{"192.0.2.11", "registry-1.docker.io:443", ""},
		{"192.0.2.10", "registry-1.docker.io:80", ""},
		{"192.0.2.10", "example.com:443", ""},
	}
	for _, q := range questions {
		out, err := exec.CommandContext(t.Context(), sluice, "explain", "--config", path, "--client", q.client, "--to", q.to).CombinedOutput()
		if q.want != "" && err != nil {
			t.Errorf("explain says that %s may not reach %s: %v\n%s", q.client, q.to, err, out)
		}
		if q.want == "" && !strings.Contains(string(out), "no rule") {
			t.Errorf("explain does not say that no rule lets %s reach %s:\n%s", q.client, q.to, out)
		}
		if !strings.Contains(string(out), q.want) {
			t.Errorf("explain does not name rule %s for %s to %s:\n%s", q.want, q.client, q.to, out)
		}
	}

	lab.Need(t, lab.Needs{Root: true, Part: "serving by " + path})
	relay := lab.New(t).Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
	lab.StartSluice(t, relay, "--config", path).Stop()
}

// composeFile is as much of a Compose file as the example uses. What is not in
// here is a mistake, or is to be checked as well.
type composeFile struct {
	Services map[string]struct {
		Image           string
		NetworkMode     string `yaml:"network_mode"`
		Volumes         []string
		User            string
		ReadOnly        bool     `yaml:"read_only"`
		CapDrop         []string `yaml:"cap_drop"`
		SecurityOpt     []string `yaml:"security_opt"`
		Ulimits         struct{ Nofile int }
		StopGracePeriod string `yaml:"stop_grace_period"`
		Restart         string
		Logging         struct {
			Driver  string
			Options map[string]string
		}
	}
}

func testCompose(t *testing.T, path string) {
	var file composeFile
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	relay, ok := file.Services["relay"]
	if !ok || len(file.Services) != 1 {
		t.Fatalf("the services are %v, not relay alone", file.Services)
	}
	if relay.User != "65532:65532" || !relay.ReadOnly ||
		!slices.Equal(relay.CapDrop, []string{"ALL"}) ||
		!slices.Equal(relay.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("the container has more rights than it needs: %+v", relay)
	}
	if relay.NetworkMode != "host" {
		t.Errorf("network_mode is %q; rules need the clients' own addresses", relay.NetworkMode)
	}
	if d, err := time.ParseDuration(relay.StopGracePeriod); err != nil || d < grace {
		t.Errorf("stop_grace_period %q (%v) is less than %v", relay.StopGracePeriod, err, grace)
	}
	for _, volume := range relay.Volumes {
		source, target, _ := strings.Cut(volume, ":")
		if _, err := os.Stat(source); err != nil {
			t.Errorf("volume: %v", err)
		}
		if target != "/etc/sluice/sluice.toml:ro" {
			t.Errorf("%s is mounted at %s, where Sluice does not look", source, target)
		}
	}
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		run(t, "docker", "compose", "--file", path, "config", "--quiet")
	}
}

func testUnit(t *testing.T, path string) {
	text := read(t, path)
	command := setting(t, text, "ExecStart")
	args := strings.Fields(command)[1:]
	if want := []string{"serve", "--config", "/etc/sluice/sluice.toml"}; !slices.Equal(args, want) {
		t.Errorf("ExecStart gives %v and not %v, which testConfiguration runs", args, want)
	}
	if d, err := time.ParseDuration(setting(t, text, "TimeoutStopSec")); err != nil || d < grace {
		t.Errorf("TimeoutStopSec is less than %v (%v)", grace, err)
	}
	unit := verified(t, path)
	// The threshold is of tenths: it fails above an exposure of 2.0.
	run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)
}

func testSocket(t *testing.T, path string) {
	configured := regexp.MustCompile(`(?m)^address  = ":(\d+)"$`).FindAllStringSubmatch(read(t, "sluice.toml"), -1)
	streams := regexp.MustCompile(`(?m)^ListenStream=(\d+)$`).FindAllStringSubmatch(read(t, path), -1)
	if !slices.EqualFunc(streams, configured, func(a, b []string) bool { return a[1] == b[1] }) || len(streams) == 0 {
		t.Errorf("%s listens on %q, and the configuration on %q", path, streams, configured)
	}
	verified(t, path)
}

// notifyReload is the first version of systemd that has Type=notify-reload.
const notifyReload = 253

func testNotifyReload(t *testing.T, path string) {
	text := read(t, path)
	if setting(t, text, "Type") != "notify-reload" || setting(t, text, "ExecReload") != "" {
		t.Errorf("%s does not have systemd itself send the signal", path)
	}
	lab.Need(t, lab.Needs{Programs: []string{"systemd-analyze"}})
	var version int
	if _, err := fmt.Sscanf(run(t, "systemd-analyze", "--version"), "systemd %d", &version); err != nil {
		t.Fatal(err)
	}
	if version < notifyReload {
		t.Skipf("left out: verifying %s, for want of systemd %d; this is %d", path, notifyReload, version)
	}
	verified(t, path)
}

// verified has systemd-analyze verify the service, the socket and, if it is one,
// the drop-in, and returns the service's path.
func verified(t *testing.T, path string) string {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{"systemd-analyze"}})
	dir := t.TempDir()
	unit := filepath.Join(dir, "sluice.service")
	files := []string{"sluice.service", "sluice.socket"}
	if !slices.Contains(files, path) {
		files = append(files, path)
	}
	for _, file := range files {
		// verify wants the program to be there.
		text := strings.ReplaceAll(read(t, file), "/usr/local/bin/sluice", lab.Sluice(t))
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(t, "systemd-analyze", "verify", "--man=no", unit, filepath.Join(dir, "sluice.socket")); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	return unit
}

// setting returns the value of a setting that stands once in a unit file.
func setting(t *testing.T, unit, name string) string {
	t.Helper()
	var values []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			values = append(values, strings.TrimSpace(value))
		}
	}
	if len(values) != 1 {
		t.Fatalf("%s= stands %d times in the unit", name, len(values))
	}
	return values[0]
}
