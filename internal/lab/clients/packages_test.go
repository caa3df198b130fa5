//go:build linux

package clients

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packageRows are the tools that fetch packages and sources.
func packageRows() []row {
	apt := []string{"apt-get", "dpkg-deb"}
	pip, npm, git := []string{"python3", "pip3"}, []string{"npm", "node"}, []string{"git"}
	return []row{
		{"apt http", apt, func(t *testing.T, c *client) { c.apt(t, c.plain("/debian"), "http", plainPort) }},
		{"apt https", apt, func(t *testing.T, c *client) { c.apt(t, c.tls("/debian"), "connect", tlsPort) }},
		{"apt by socks5h", apt, func(t *testing.T, c *client) {
			c.aptBy(t, c.proxy("socks5h"), c.plain("/debian"), "socks5", plainPort)
		}},
		{"pip http", pip, func(t *testing.T, c *client) { c.pip(t, c.plain("/simple/"), "http", plainPort) }},
		{"pip https", pip, func(t *testing.T, c *client) { c.pip(t, c.tls("/simple/"), "connect", tlsPort) }},
		{"npm http", npm, func(t *testing.T, c *client) {
			c.npm(t, c.plain("/npm/"))
			c.wantTraffic(t, traffic{protocol: "http", port: plainPort, down: 1, count: 2})
		}},
		{"npm https", npm, func(t *testing.T, c *client) {
			c.npm(t, c.tls("/npm/"))
			c.wantRecord(t, "connect", tlsPort, 1)
		}},
		{"git http", git, func(t *testing.T, c *client) { c.git(t, c.plain("/git/demo.git"), "http", plainPort) }},
		{"git https", git, func(t *testing.T, c *client) { c.git(t, c.tls("/git/demo.git"), "connect", tlsPort) }},
	}
}

func (c *client) apt(t *testing.T, url, protocol string, port int) {
	t.Helper()
	c.aptBy(t, c.proxy("http"), url, protocol, port)
}

// aptBy reads the repository at url and downloads all its packages, which apt
// asks for in one go on one connection.
func (c *client) aptBy(t *testing.T, proxy, url, protocol string, port int) {
	t.Helper()
	env := c.aptEnv(t, proxy, url)
	r := c.run(t, env, "apt-get", "update")
	if strings.Contains(r.out+r.err, "Err:") {
		t.Fatalf("%s\n%s", r.line, r)
	}
	dir := t.TempDir()
	var names []string
	for i := range debs {
		names = append(names, fmt.Sprintf("sluice-demo%d", i))
	}
	c.run(t, env, "sh", append([]string{"-c", `cd "$1" && shift && exec apt-get download "$@"`, "sh", dir}, names...)...)
	for i, name := range names {
		got := read(t, filepath.Join(dir, name+"_1.0_all.deb"))
		if !bytes.Equal(got, c.debs[i]) {
			t.Errorf("%s: %d bytes, not the %d of the repository", name, len(got), len(c.debs[i]))
		}
	}
	if protocol == "http" {
		c.wantTraffic(t, traffic{protocol: "http", port: port, down: len(c.debs[0]), count: debs})
	} else {
		c.wantRecord(t, protocol, port, len(c.debs[0]))
	}
}

// aptEnv points apt at settings, lists and a cache of its own, with one source.
func (c *client) aptEnv(t *testing.T, proxy, url string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "etc/parts", "etc/preferences.d", "etc/trusted.gpg.d"} {
		mkdir(t, filepath.Join(dir, sub))
	}
	write(t, filepath.Join(dir, "status"), "")
	write(t, filepath.Join(dir, "sources.list"), fmt.Sprintf("deb [trusted=yes arch=all] %s stable main\n", url))
	settings := filepath.Join(dir, "apt.conf")
	write(t, settings, fmt.Sprintf(`
Dir::Etc "%[1]s/etc/";
Dir::Etc::Parts "parts";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "%[1]s";
Dir::State::Lists "%[1]s/lists";
Dir::State::Status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Log "%[1]s";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy "%[2]s";
Acquire::https::Proxy "%[2]s";
Acquire::https::CaInfo "%[3]s";
`, dir, proxy, c.ca.File()))
	return []string{"APT_CONFIG=" + settings}
}

func (c *client) pip(t *testing.T, index, protocol string, port int) {
	t.Helper()
	dir := t.TempDir()
	c.run(t, c.pipEnv(), "python3", c.pipArgs(index, dir)...)
	if got := read(t, filepath.Join(dir, "sluicedemo-1.0-py3-none-any.whl")); !bytes.Equal(got, c.wheel) {
		t.Errorf("a wheel of %d bytes, not the one of %d", len(got), len(c.wheel))
	}
	c.wantRecord(t, protocol, port, 1)
}

func (c *client) pipEnv() []string {
	return append(c.proxyEnv(), "PIP_CONFIG_FILE=/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_CERT="+c.ca.File())
}

func (c *client) pipArgs(index, dir string) []string {
	return []string{"-m", "pip", "download", "--no-cache-dir", "--no-deps", "--retries", "1",
		"--index-url", index, "--trusted-host", c.host, "--dest", dir, "sluicedemo"}
}

func (c *client) npm(t *testing.T, registry string) {
	t.Helper()
	dir := t.TempDir()
	c.run(t, c.npmEnv(), "npm", npmArgs(dir, registry)...)
	if got := string(read(t, filepath.Join(dir, "node_modules/sluice-demo/index.js"))); !strings.Contains(got, strings.TrimSpace(greeting)) {
		t.Errorf("installed %q", got)
	}
}

func (c *client) npmEnv() []string {
	return append(c.proxyEnv(), "npm_config_globalconfig=/dev/null", "npm_config_cafile="+c.ca.File(),
		"npm_config_audit=false", "npm_config_fund=false", "npm_config_update_notifier=false", "npm_config_fetch_retries=0")
}

func npmArgs(dir, registry string) []string {
	return []string{"install", "--prefix", dir, "--registry", registry, "sluice-demo"}
}

// git clones the repository, commits on a branch of its own and pushes it. The
// small post buffer makes the push a chunked upload. It goes by HTTP/1.1: by
// HTTP/2 curl 7.88 now and then sends such an upload damaged on a busy machine,
// inside TLS, where no proxy could do it.
func (c *client) git(t *testing.T, url, protocol string, port int) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "demo")
	env := c.gitEnv()
	c.run(t, env, "git", "clone", "-q", url, tree)
	if got := string(read(t, filepath.Join(tree, "greeting"))); got != greeting {
		t.Errorf("cloned %q", got)
	}
	if r := c.run(t, env, "git", "-C", tree, "rev-parse", "HEAD"); strings.TrimSpace(r.out) != c.commit {
		t.Errorf("cloned commit %s, want %s", r.out, c.commit)
	}
	c.wantRecord(t, protocol, port, 1<<20)

	if err := os.WriteFile(filepath.Join(tree, "more"), noiseBytes(byte(port), 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run(t, env, "git", "-C", tree, "add", ".")
	c.run(t, env, "git", "-C", tree, "-c", "user.name=test", "-c", "user.email=nobody@origin.test", "commit", "-q", "-m", "more")
	c.run(t, env, "git", "-C", tree, "-c", "http.postBuffer=65536", "-c", "http.version=HTTP/1.1", "push", "-q", "origin", "HEAD:by-"+protocol)
	c.wantRecordUp(t, protocol, port, 2<<20)
	mine := c.run(t, env, "git", "-C", tree, "rev-parse", "HEAD").out
	if there := c.run(t, env, "git", "ls-remote", url, "by-"+protocol).out; !strings.HasPrefix(there, strings.TrimSpace(mine)) {
		t.Errorf("the origin has %q, pushed %q", there, mine)
	}
}

func (c *client) gitEnv() []string {
	return append(c.proxyEnv(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO="+c.ca.File())
}
