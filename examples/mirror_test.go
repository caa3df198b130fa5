//go:build linux

package examples_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"

	"sluice/internal/lab"
	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
)

func testMirrorConfiguration(t *testing.T, path string) {
	if out := run(t, lab.SluiceMirror(t), "check", "--config", path, "--cache", filepath.Join(t.TempDir(), "cache")); !strings.Contains(out, " 0 warnings") {
		t.Errorf("sluice-mirror check has something to say against it:\n%s", out)
	}
	policy, err := access.New(mirrorSettings(t).Rules)
	if err != nil {
		t.Fatal(err)
	}
	for client, allowed := range map[string]bool{"192.0.2.10": true, "198.51.100.77": true, "192.0.2.11": false, "127.0.0.1": false} {
		v := policy.Decide(netip.MustParseAddr(client), "", oci.Repository{Registry: "docker.io", Name: "library/alpine"})
		if v.Allowed != allowed || v.Private {
			t.Errorf("client %s: %+v", client, v)
		}
	}

	// What is left in comments is right as well.
	text := regexp.MustCompile(`(?m)^#([a-z_]+ *= )`).ReplaceAllString(read(t, path), "$1")
	if _, err := settings.Parse(path, []byte(text), settings.Flags{}); err != nil {
		t.Errorf("with its comments: %v", err)
	}

	lab.Need(t, lab.Needs{Root: true, Part: "serving by " + path})
	h := lab.New(t).Host(t, "mirror.example.internal", netip.MustParsePrefix("198.18.0.2/15"))
	d := h.StartCommand(t, h.Command(t.Context(), lab.SluiceMirror(t), "serve", "--config", path, "--cache", filepath.Join(t.TempDir(), "cache")))
	d.WaitListen(t, 5000)
	d.Stop()
}

// mirrorSettings is what mirror.toml says.
func mirrorSettings(t *testing.T) *settings.Config {
	t.Helper()
	c, err := settings.Load(settings.Flags{Config: "mirror.toml"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testMirrorUnit(t *testing.T, path string) {
	text := read(t, path)
	args := strings.Fields(setting(t, text, "ExecStart"))[1:]
	if want := []string{"serve", "--config", "/etc/sluice/mirror.toml"}; !slices.Equal(args, want) {
		t.Errorf("ExecStart gives %v and not %v, which testMirrorConfiguration runs", args, want)
	}
	if dir := "/var/lib/" + setting(t, text, "StateDirectory"); dir != mirrorSettings(t).Cache.Directory {
		t.Errorf("the service may write to %s, and the cache is elsewhere", dir)
	}
	if d, err := time.ParseDuration(setting(t, text, "TimeoutStopSec")); err != nil || d < grace {
		t.Errorf("TimeoutStopSec is less than %v (%v)", grace, err)
	}
	lab.Need(t, lab.Needs{Programs: []string{"systemd-analyze"}})
	unit := filepath.Join(t.TempDir(), path)
	// verify wants the program to be there.
	text = strings.ReplaceAll(text, "/usr/local/bin/sluice-mirror", lab.SluiceMirror(t))
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "systemd-analyze", "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	// The threshold is of tenths: it fails above an exposure of 2.0.
	run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)
}

func testMirrorCompose(t *testing.T, path string) {
	var file struct {
		composeFile `yaml:",inline"`
		Volumes     map[string]any
	}
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	mirror, ok := file.Services["mirror"]
	if !ok || len(file.Services) != 1 {
		t.Fatalf("the services are %v, not mirror alone", file.Services)
	}
	if mirror.User != "65532:65532" || !mirror.ReadOnly || mirror.NetworkMode != "host" ||
		!slices.Equal(mirror.CapDrop, []string{"ALL"}) || !slices.Equal(mirror.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("the container has more rights than it needs, or does not see its clients' addresses: %+v", mirror)
	}
	if d, err := time.ParseDuration(mirror.StopGracePeriod); err != nil || d < grace {
		t.Errorf("stop_grace_period %q (%v) is less than %v", mirror.StopGracePeriod, err, grace)
	}
	want := []string{"./mirror.toml:" + settings.DefaultPath + ":ro", "cache:" + mirrorSettings(t).Cache.Directory}
	if _, named := file.Volumes["cache"]; !named || !slices.Equal(mirror.Volumes, want) {
		t.Errorf("the volumes are %v and %v, not %v", mirror.Volumes, file.Volumes, want)
	}
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		run(t, "docker", "compose", "--file", path, "config", "--quiet")
	}
}

// testDaemon holds dockerd's file to what dockerd reads (types.CommonConfig in its
// source), and to where mirror.toml listens.
func testDaemon(t *testing.T, path string) {
	var file struct {
		Mirrors []string `json:"registry-mirrors"`
	}
	decoder := json.NewDecoder(strings.NewReader(read(t, path)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil || len(file.Mirrors) != 1 {
		t.Fatalf("%v, %v", file, err)
	}
	leadsToTheMirror(t, file.Mirrors[0])
}

// leadsToTheMirror tells whether mirror.toml listens where a client is sent. dockerd
// takes no mirror with a path, and would give one with login the user's password for
// Docker Hub.
func leadsToTheMirror(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Path != "" {
		t.Fatalf("%s is no address of a mirror with TLS: %v", address, err)
	}
	l := mirrorSettings(t).Listeners[0]
	_, port, err := net.SplitHostPort(l.Address)
	if err != nil || u.Port() != port || !slices.Contains(l.Names, u.Hostname()) || l.TLS == settings.TLSOff || l.Login {
		t.Errorf("%s does not lead to %+v (%v)", address, l, err)
	}
}

func testHosts(t *testing.T, path string) {
	var file struct {
		Server string `toml:"server"`
		Host   map[string]struct {
			Capabilities []string `toml:"capabilities"`
			CA           string   `toml:"ca"`
		} `toml:"host"`
	}
	meta, err := toml.Decode(read(t, path), &file)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("%v, keys that containerd does not have: %v", err, meta.Undecoded())
	}
	for _, u := range mirrorSettings(t).Upstreams {
		if u.Name == filepath.Base(filepath.Dir(path)) && u.URL.String() != file.Server {
			t.Errorf("the registry is at %s, not %s", u.URL, file.Server)
		}
	}
	for address, host := range file.Host {
		leadsToTheMirror(t, address)
		if !slices.Equal(host.Capabilities, []string{"pull", "resolve"}) || !filepath.IsAbs(host.CA) {
			t.Errorf("%s: %+v", address, host)
		}
	}
	if len(file.Host) != 1 {
		t.Errorf("%d hosts", len(file.Host))
	}
}

// The unit is run as it is, with all that it takes away from the process: the mirror
// keeps its cache and its authority all the same, over a restart too.
func TestTheMirrorsUnitUnderSystemd(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"systemctl"}})
	n := lab.New(t)
	client := n.Host(t, "client", netip.MustParsePrefix("198.18.0.3/15"))
	host := n.Host(t, "mirror.example.internal", netip.MustParsePrefix("198.18.0.2/15"))
	configuration := filepath.Join(t.TempDir(), "mirror.toml")
	text := strings.ReplaceAll(read(t, "mirror.toml"), "192.0.2.10", client.Addr().String())
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := lab.StartSystemd(t, host, map[string]string{
		"units/sluice-mirror.service": "sluice-mirror.service",
		"etc/sluice/mirror.toml":      configuration,
		"bin/sluice-mirror":           lab.SluiceMirror(t),
	})
	s.Control(t, "start", "sluice-mirror.service")
	first := authorityAt(t, client)
	s.Control(t, "reload", "sluice-mirror.service")
	s.Control(t, "restart", "sluice-mirror.service")
	if second := authorityAt(t, client); second != first {
		t.Error("after a restart it has another authority")
	}
	if p := s.Property(t, "sluice-mirror.service", "ActiveState"); p != "active" {
		t.Errorf("it is %s", p)
	}
	// Root has the commands of an operator, though all of it is another user's.
	command := func(args ...string) string {
		return s.Run(t, "/usr/local/bin/sluice-mirror", append(args, "--config", "/etc/sluice/mirror.toml")...)
	}
	if got := command("ca", "print"); strings.TrimSpace(got) != strings.TrimSpace(first) {
		t.Errorf("ca print prints\n%s\nand clients are given\n%s", got, first)
	}
	if got := command("cache", "ls"); !strings.Contains(got, "nothing is cached") {
		t.Errorf("cache ls prints %s", got)
	}
	s.Control(t, "stop", "sluice-mirror.service")
	if got := command("cache", "prune", "--to", "0"); !strings.Contains(got, "removed 0 files") {
		t.Errorf("cache prune prints %s", got)
	}
	s.Control(t, "start", "sluice-mirror.service")
	if again := authorityAt(t, client); again != first {
		t.Error("after a command of root's it has another authority")
	}
}

// authorityAt returns the certificate that the mirror gives to its clients.
func authorityAt(t *testing.T, client *lab.Host) string {
	t.Helper()
	transport := &http.Transport{DialContext: client.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://mirror.example.internal:5000/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "BEGIN CERTIFICATE") {
		t.Fatalf("%s %s, %v", resp.Status, text, err)
	}
	return string(text)
}
