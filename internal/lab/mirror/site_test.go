//go:build linux

package mirror

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
	"sluice/internal/lab/registry"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// mirrorName is the mirror's host, by the name that the README has for it.
const mirrorName = "mirror.example.internal"

// site is the lab that all tests here play in.
type site struct {
	net *lab.Net
	hub *dockerhub.Hub
	// mirror reaches everything.
	mirror *lab.Host
	// client and stranger reach the mirror alone. Rules of tests admit client.
	client, stranger *lab.Host

	others []*registry.Registry
}

// newSite makes the lab, with a Docker Hub that has no image yet. part says what is left
// out where the machine cannot have it.
func newSite(t *testing.T, part string, programs ...string) *site {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: append(programs, "docker-registry"), Part: part})
	n := lab.New(t)
	s := &site{
		net: n, hub: dockerhub.Start(t, n),
		mirror:   n.Host(t, "mirror", netip.MustParsePrefix("198.18.0.2/15")),
		client:   n.Host(t, "client", netip.MustParsePrefix("198.18.0.10/15")),
		stranger: n.Host(t, "stranger", netip.MustParsePrefix("198.18.0.66/15")),
	}
	n.Name(t, mirrorName, s.mirror.Addr())
	for _, h := range []*lab.Host{s.client, s.stranger} {
		// Where the registries are, see dockerhub.Start and registry.
		h.Prohibit(t, netip.MustParsePrefix("198.18.1.0/24"))
		h.Prohibit(t, netip.MustParsePrefix("198.18.2.0/24"))
	}
	return s
}

// registry adds a registry to the Internet.
func (s *site) registry(t *testing.T, o registry.Options) *registry.Registry {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{198, 18, 1, byte(10 + len(s.others))})
	host := s.net.Host(t, fmt.Sprintf("registry%d", len(s.others)), netip.PrefixFrom(addr, 15))
	r := registry.Start(t, s.net, host, s.hub.CA, o)
	s.others = append(s.others, r)
	return r
}

// plain is a listener for HTTP, where most tests have the mirror.
const plain = `
[[listener]]
address = ":5000"
tls     = "off"
`

// admits is a rule that admits the client to all registries.
const admits = `
[[rule]]
name    = "clients"
action  = "allow"
clients = ["198.18.0.10"]
`

// teamAndOthers is rules by which all may pull what is public, and the client alone what
// is private at the repositories of a pattern.
func teamAndOthers(private string) string {
	return fmt.Sprintf(`
[[rule]]
name    = "team"
action  = "allow"
clients = ["198.18.0.10"]
private = [%q]

[[rule]]
name    = "others"
action  = "allow"
clients = ["198.18.0.0/24"]
`, private)
}

const onlyDockerHub = `
[[upstream]]
name    = "docker.io"
default = true
`

// account is an upstream at which the mirror has an account of its own. The password's
// file is as given.
func (s *site) account(t *testing.T, registry, user, password string) string {
	t.Helper()
	path := filepath.Join(s.net.Dir(), "password")
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("\n[[upstream]]\nname = %q\nusername = %q\npassword_file = %q\n", registry, user, path)
}

// file writes a configuration of the mirror. The lab's addresses are not public, so it
// is told that they may be dialled.
func (s *site) file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(s.net.Dir(), "mirror.toml")
	text += fmt.Sprintf("\n[egress]\nallow_private = [%q]\n", lab.Range)
	if !strings.Contains(text, "[cache]") {
		text += "\n[cache]\n"
	}
	text = strings.Replace(text, "[cache]\n", fmt.Sprintf("[cache]\ndirectory = %q\n", filepath.Join(s.net.Dir(), "cache")), 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs the mirror with a configuration that listens on these ports; with none, it
// is port 5000.
func (s *site) serve(t *testing.T, text string, ports ...uint16) *lab.Mirror {
	t.Helper()
	if len(ports) == 0 {
		ports = []uint16{5000}
	}
	return lab.StartMirror(t, s.mirror, s.hub.CA, ports, "--config", s.file(t, text))
}

// traffic is what has reached the registries, those who give tokens, and blobs so far.
type traffic struct{ requests, blobs int64 }

func (s *site) traffic() traffic {
	sum := traffic{
		requests: s.hub.Images.Front.Requests() + s.hub.TokenServer.Requests() + s.hub.Blobs.Requests(),
		blobs:    s.hub.Blobs.BytesOut(),
	}
	for _, r := range s.others {
		sum.requests += r.Front.Requests()
		sum.blobs += r.Front.BytesOut()
	}
	return sum
}

// try runs a program on the host for at most a minute and returns what it prints.
func (s *site) try(t *testing.T, h *lab.Host, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	cmd.Env = append(append(cmd.Env, "HOME="+s.home(t, h), "XDG_RUNTIME_DIR="+s.home(t, h)), env...)
	return output(cmd)
}

// output is what a command prints, in the error too.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Args[len(cmd.Args)-1]), err, out)
	}
	return string(out), err
}

// run is try for what must succeed.
func (s *site) run(t *testing.T, h *lab.Host, env []string, name string, args ...string) string {
	t.Helper()
	out, err := s.try(t, h, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", filepath.Base(name), strings.Join(args, " "), err)
	}
	return strings.TrimSpace(out)
}

// home is a host's directory for what its programs keep.
func (s *site) home(t *testing.T, h *lab.Host) string {
	t.Helper()
	dir := filepath.Join(s.net.Dir(), "home-"+h.Name())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// docker runs the client's dockerd. Its downloads are tried once, so that a failure does
// not take minutes.
func (s *site) docker(t *testing.T, env []string, args ...string) *dockerhub.Docker {
	t.Helper()
	return dockerhub.StartDocker(t, s.net, s.client, s.hub.CA, env, append(args, "--max-download-attempts=1")...)
}

// wantPulled wants docker to pull an image by a name.
func wantPulled(t *testing.T, d *dockerhub.Docker, when, name string, image registry.Image) {
	t.Helper()
	if _, err := d.Docker(t, "pull", name); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	id, err := d.Docker(t, "inspect", "--format", "{{.Id}}", name)
	if err != nil || strings.TrimSpace(id) != image.Config {
		t.Errorf("%s: %s is %s, %v, want %s", when, name, id, err, image.Config)
	}
}

// pull has skopeo pull an image by the mirror over plain HTTP, all of it, and returns the
// digest of what it has.
func (s *site) pull(t *testing.T, h *lab.Host, name string, args ...string) (string, error) {
	t.Helper()
	return s.copy(t, h, nil, mirrorName+":5000/"+name, append(args, "--src-tls-verify=false")...)
}

// copy is pull for a name of any registry, over TLS unless args say otherwise.
func (s *site) copy(t *testing.T, h *lab.Host, env []string, name string, args ...string) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	args = append([]string{"copy", "--insecure-policy", "--quiet"}, args...)
	if out, err := s.try(t, h, env, "skopeo", append(args, "docker://"+name, "dir:"+dir)...); err != nil {
		return out, err
	}
	out, err := s.try(t, h, nil, "skopeo", "manifest-digest", filepath.Join(dir, "manifest.json"))
	return strings.TrimSpace(out), err
}

// crane runs crane on a host, for plain HTTP.
func (s *site) crane(t *testing.T, h *lab.Host, args ...string) (string, error) {
	t.Helper()
	return s.try(t, h, nil, lab.Tool(t, "crane"), append([]string{"--insecure"}, args...)...)
}

// wantDigest wants the mirror to say that a name means an image.
func (s *site) wantDigest(t *testing.T, name, want string) {
	t.Helper()
	got, err := s.crane(t, s.client, "digest", mirrorName+":5000/"+name)
	if err != nil || strings.TrimSpace(got) != want {
		t.Errorf("%s is %s, %v, want %s", name, strings.TrimSpace(got), err, want)
	}
}
