//go:build linux

package examples_test

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

// names that check.sh asks for unless it is told others, and who serves them.
var (
	hubNames = []string{"registry-1.docker.io", "auth.docker.io"}
	cdnNames = []string{"production.cloudfront.docker.com", "production.cloudflare.docker.com"}
)

// blockedHost plays a Docker host that reaches Docker Hub, but not the network
// which has the blobs, and a cloud VM that reaches both.
type blockedHost struct {
	docker, vm *lab.Host
	ca         *lab.CA
	origins    []*lab.Origin
}

func newBlockedHost(t *testing.T) *blockedHost {
	t.Helper()
	n := lab.New(t)
	ca := lab.NewCA(t)
	host := func(name, addr string) *lab.Host { return n.Host(t, name, netip.MustParsePrefix(addr)) }
	b := &blockedHost{docker: host("docker", "198.18.0.3/15"), vm: host("relay.example.internal", "198.18.0.2/15"), ca: ca}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	serve := func(h *lab.Host, names ...string) {
		for _, name := range names {
			n.Name(t, name, h.Addr())
		}
		b.origins = append(b.origins,
			lab.ServeHTTP(t, h, ":80", answer),
			lab.ServeHTTPS(t, h, ":443", ca, names, answer))
	}
	cdn := host("cdn", "198.18.1.1/15")
	serve(host("hub", "198.18.0.4/15"), append(hubNames, "elsewhere.example")...)
	serve(cdn, cdnNames...)
	b.docker.Prohibit(t, cdn.Prefix())
	return b
}

// startRelay runs cloud-vm.sh on the VM, for this client.
func (b *blockedHost) startRelay(t *testing.T, client string) {
	t.Helper()
	cmd := b.vm.Command(context.Background(), "sh", script(t, "cloud-vm.sh"), client, "--allow-private", lab.Range)
	cmd.Env = append(cmd.Env, "SLUICE="+lab.Sluice(t))
	b.vm.StartCommand(t, cmd).WaitListen(t, 3128, 1080)
}

// check runs check.sh on the Docker host and returns what it printed and
// whether it ended with 0.
func (b *blockedHost) check(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := b.docker.Command(ctx, "sh", append([]string{script(t, "check.sh")}, args...)...)
	cmd.Env = append(cmd.Env, "CURL_CA_BUNDLE="+b.ca.File(),
		// The script must not mind what the user's shell has set.
		"NO_PROXY=*", "HTTPS_PROXY=http://203.0.113.1:1", "ALL_PROXY=http://203.0.113.1:1")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// script has a script's syntax checked, by the shell and by shellcheck, and
// returns its absolute path.
func script(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(abs); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%s cannot be executed (%v)", path, err)
	}
	run(t, "sh", "-n", abs)
	run(t, "shellcheck", abs)
	return abs
}

func testCloudVM(t *testing.T, path string) {
	lab.Need(t, lab.Needs{Programs: []string{"shellcheck"}})
	cloudVM := script(t, path)

	for _, args := range [][]string{nil, {""}, {"--allow", "0.0.0.0/0"}} {
		out, err := exec.CommandContext(t.Context(), cloudVM, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "usage: ") {
			t.Errorf("%s %q does not tell its usage: %v\n%s", path, args, err, out)
		}
	}

	lab.Need(t, lab.Needs{Root: true, Programs: []string{"curl"}})
	b := newBlockedHost(t)
	b.startRelay(t, "198.18.0.9/32")
	out, ok := b.check(t, "http://relay.example.internal:3128")
	if ok || strings.Count(out, "refused by the proxy: 403 sluice: ") != 4 {
		t.Errorf("the relay does not turn away a host that it was not told of:\n%s", out)
	}
	for _, o := range b.origins[2:] { // the Docker host itself reaches the first two
		if o.Accepts() > 0 {
			t.Error("something was dialled for a host that is not let through")
		}
	}
}

func testCheck(t *testing.T, path string) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"shellcheck", "curl"}})
	b := newBlockedHost(t)
	b.startRelay(t, "198.18.0.3/32")

	for _, proxy := range []string{"http://relay.example.internal:3128", "socks5h://relay.example.internal:1080"} {
		out, ok := b.check(t, proxy)
		if !ok {
			t.Errorf("with %s the script says that the relay does not help", proxy)
		}
		asked := blocks(out)
		for _, name := range hubNames {
			wants(t, out, asked["https://"+name], "direct:  reached, answer 401 ", "proxied: reached, answer 401 ")
		}
		for _, name := range cdnNames {
			wants(t, out, asked["https://"+name], "direct:  not reached: curl: (7) ", "proxied: reached, answer 401 ")
		}
	}

	for _, scheme := range []string{"https", "http"} {
		out, ok := b.check(t, "http://relay.example.internal:3128", scheme+"://elsewhere.example/")
		if ok {
			t.Errorf("the script ends with 0 though the proxy refuses %s", scheme)
		}
		wants(t, out, out, "direct:  reached", "proxied: refused by the proxy: 403 sluice: ", "elsewhere.example")
	}
	out, ok := b.check(t, "socks5h://relay.example.internal:1080", "https://elsewhere.example/")
	if ok {
		t.Error("the script ends with 0 though the proxy refuses")
	}
	wants(t, out, out, "direct:  reached", "proxied: not reached: curl: (97) ")

	if out, ok := b.check(t); ok || !strings.Contains(out, "usage: ") {
		t.Errorf("%s does not tell its usage:\n%s", path, out)
	}
}

// blocks splits the output of check.sh by host: what it printed below each URL.
func blocks(out string) map[string]string {
	found := map[string]string{}
	url := ""
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, " ") {
			scheme, rest, _ := strings.Cut(strings.TrimSpace(line), "://")
			name, _, _ := strings.Cut(rest, "/")
			url = scheme + "://" + name
			continue
		}
		found[url] += line
	}
	return found
}

// wants reports each text that is not in the part of the output.
func wants(t *testing.T, out, part string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(part, text) {
			t.Errorf("nowhere %q in:\n%s", text, out)
		}
	}
}
