//go:build linux

package clients

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// registryRows are the tools that move images. Debian's docker-registry stands
// at the origin, plain on one port and with TLS on another, over one store.
func registryRows() []row {
	skopeo := []string{"skopeo", "docker-registry"}
	ctr := []string{"ctr", "containerd", "docker-registry"}
	by := func(c *client, scheme string) []string {
		return append(proxyEnv(c.proxy(scheme)), "SSL_CERT_FILE="+c.ca.File())
	}
	return []row{
		{"skopeo https", skopeo, func(t *testing.T, c *client) {
			c.skopeo(t, by(c, "http"), registryTLSPort, true)
			c.wantRecord(t, "connect", registryTLSPort, imageNoise)
			c.wantRecordUp(t, "connect", registryTLSPort, imageNoise)
		}},
		{"skopeo https by socks5", skopeo, func(t *testing.T, c *client) {
			c.skopeo(t, by(c, "socks5"), registryTLSPort, true)
			c.wantRecord(t, "socks5", registryTLSPort, imageNoise)
			c.wantRecordUp(t, "socks5", registryTLSPort, imageNoise)
		}},
		{"skopeo http", skopeo, func(t *testing.T, c *client) {
			c.skopeo(t, by(c, "http"), registryPort, false)
			c.wantRecord(t, "http", registryPort, imageNoise)
			c.wantRecordUp(t, "http", registryPort, imageNoise)
		}},
		{"ctr https", ctr, func(t *testing.T, c *client) {
			c.ctr(t, by(c, "http"), registryTLSPort)
			c.wantRecord(t, "connect", registryTLSPort, imageNoise)
		}},
		{"ctr https by socks5", ctr, func(t *testing.T, c *client) {
			c.ctr(t, by(c, "socks5"), registryTLSPort)
			c.wantRecord(t, "socks5", registryTLSPort, imageNoise)
		}},
		{"ctr http", ctr, func(t *testing.T, c *client) {
			c.ctr(t, by(c, "http"), registryPort, "--plain-http")
			c.wantRecord(t, "http", registryPort, imageNoise)
		}},
	}
}

// stockImages starts the registries and puts the image into them, as demo:1,
// from the origin itself.
func (b *bench) stockImages(t *testing.T, names []string) {
	t.Helper()
	store, leaf := t.TempDir(), b.ca.Leaf(t, names...)
	for port, tls := range map[int]string{
		registryPort:    "",
		registryTLSPort: fmt.Sprintf("  tls:\n    certificate: %s\n    key: %s\n", leaf.CertFile, leaf.KeyFile),
	} {
		file := filepath.Join(t.TempDir(), "config.yml")
		write(t, file, fmt.Sprintf("version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: :%d\n%s", store, port, tls))
		b.far.Start(t, "docker-registry", "serve", file).WaitListen(t, uint16(port))
	}
	b.layout, b.digest = imageLayout(t)
	cmd := b.far.Command(t.Context(), "skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
		"oci:"+b.layout, fmt.Sprintf("docker://%s:%d/demo:1", b.far.Addr(), registryPort))
	cmd.Env = lab.Bare(t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("skopeo copy to the origin: %v\n%s", err, out)
	}
}

// skopeo copies the image there under a name of the row's own and back again.
func (c *client) skopeo(t *testing.T, env []string, port int, secure bool) {
	t.Helper()
	there := fmt.Sprintf("docker://%s:%d/%s:1", c.host, port, strings.TrimSuffix(c.host, zone))
	verify := fmt.Sprintf("tls-verify=%t", secure)
	c.run(t, env, "skopeo", "copy", "-q", "--insecure-policy", "--dest-"+verify, "oci:"+c.layout, there)
	dir := filepath.Join(t.TempDir(), "image")
	c.run(t, env, "skopeo", "copy", "-q", "--insecure-policy", "--src-"+verify, there, "oci:"+dir)
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(read(t, filepath.Join(dir, "index.json")), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != c.digest {
		t.Errorf("pulled %v, want %s", index.Manifests, c.digest)
	}
}

// ctr pulls the image into a containerd of the row's own, unpacks it and reads
// the greeting in it. The registry is asked by ctr itself, containerd 1.x, or
// by the daemon, 2.x: both get the proxy.
func (c *client) ctr(t *testing.T, env []string, port int, flags ...string) {
	t.Helper()
	socket := c.containerd(t, env)
	image := fmt.Sprintf("%s:%d/demo:1", c.host, port)
	pull := append([]string{"--address", socket, "images", "pull", "--snapshotter", "native"}, flags...)
	c.run(t, env, "ctr", append(pull, image)...)
	if r := c.run(t, env, "ctr", "--address", socket, "images", "ls"); !strings.Contains(r.out, c.digest) {
		t.Errorf("no image of digest %s\n%s", c.digest, r.out)
	}
	dir := t.TempDir()
	r := c.run(t, env, "sh", "-c", `
		ctr --address "$1" images mount --snapshotter native "$2" "$3" >/dev/null && cat "$3/greeting" && umount "$3"
	`, "sh", socket, image, dir)
	r.wantGreeting(t, 1)
}

// containerd starts a daemon on the client's host and returns its socket.
func (c *client) containerd(t *testing.T, env []string) string {
	t.Helper()
	return lab.StartContainerd(t, c.from, append(lab.Bare(t.TempDir()), env...), "").Socket
}
