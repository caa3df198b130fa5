//go:build linux

package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// forbidden is a name of the origin that no rule lets anybody reach.
const forbidden = "forbidden.test"

// denial is what a user sees of a refusal. SENTENCE in shows stands for what
// Sluice has to say; where a program keeps it to itself, shows is what it prints
// instead.
type denial struct {
	name     string
	needs    string // programs of the machine
	protocol string
	port     int
	shows    string
	run      func(t *testing.T, c *client) result
}

func denials() []denial {
	image := func(port int) string { return fmt.Sprintf("%s:%d/demo:1", forbidden, port) }
	verbose := "GIT_CURL_VERBOSE=1"
	return []denial{
		{"curl http", "curl", "http", 80, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "curl", "-sS", c.plain("/hello"))
		}},
		{"curl https", "curl", "connect", 443, "403", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "curl", "-sS", c.tls("/hello"))
		}},
		{"curl https verbose", "curl", "connect", 443, "< HTTP/1.1 403 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "curl", "-sSv", c.tls("/hello"))
		}},
		{"curl socks5h", "curl", "socks5", 443, "curl: (97) ", func(t *testing.T, c *client) result {
			return c.try(t, nil, "curl", "-sS", "-x", c.proxy("socks5h"), c.tls("/hello"))
		}},
		{"wget http", "wget", "http", 80, "ERROR 403: sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "wget", "--no-config", "-nv", "-O", "-", c.plain("/hello"))
		}},
		{"wget https", "wget", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "wget", "--no-config", "-nv", "-O", "-", c.tls("/hello"))
		}},
		{"openssl s_client", "openssl", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, nil, "openssl", "s_client", "-proxy", c.httpAddr(), "-connect", c.host+":443")
		}},
		{"git http", "git", "http", 80, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.gitEnv(), "git", "clone", c.plain("/git/demo.git"))
		}},
		{"git https", "git", "connect", 443, "403", func(t *testing.T, c *client) result {
			return c.try(t, c.gitEnv(), "git", "clone", c.tls("/git/demo.git"))
		}},
		{"git https verbose", "git", "connect", 443, "HTTP/1.1 403 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, append(c.gitEnv(), verbose), "git", "clone", c.tls("/git/demo.git"))
		}},
		{"apt http", "apt-get", "http", 80, "403  sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.aptEnv(t, c.proxy("http"), c.plain("/debian")), "apt-get", "update")
		}},
		{"apt https", "apt-get", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.aptEnv(t, c.proxy("http"), c.tls("/debian")), "apt-get", "update")
		}},
		{"apt by socks5h", "apt-get", "socks5", 80, "SOCKS proxy", func(t *testing.T, c *client) result {
			return c.try(t, c.aptEnv(t, c.proxy("socks5h"), c.plain("/debian")), "apt-get", "update")
		}},
		{"pip https", "python3 pip3", "connect", 443, "Tunnel connection failed: 403 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.pipEnv(), "python3", c.pipArgs(c.tls("/simple/"), t.TempDir())...)
		}},
		{"npm https", "npm node", "connect", 443, "403", func(t *testing.T, c *client) result {
			return c.try(t, c.npmEnv(), "npm", npmArgs(t.TempDir(), c.tls("/npm/"))...)
		}},
		{"python urllib http", "python3", "http", 80, "HTTP Error 403: sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "python3", testdata(t, "fetch.py"), c.plain("/hello"))
		}},
		{"python urllib https", "python3", "connect", 443, "Tunnel connection failed: 403 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "python3", testdata(t, "fetch.py"), c.tls("/hello"))
		}},
		{"java httpclient", "java javac", "connect", 443, "403", func(t *testing.T, c *client) result {
			host, port, _ := strings.Cut(c.httpAddr(), ":")
			return c.try(t, nil, "java", "-XX:TieredStopAtLevel=1", testdata(t, "Fetch.java"), host, port, c.ca.File(), c.tls("/hello"))
		}},
		{"node fetch", "node", "connect", 443, "fetch failed", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "node", testdata(t, "fetch.mjs"), c.tls("/hello"))
		}},
		{"go http", "", "http", 80, "403 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.tryGo(t, c.proxyEnv(), "fetch", c.plain("/hello"))
		}},
		{"go https", "", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.tryGo(t, c.proxyEnv(), "fetch", c.tls("/hello"))
		}},
		{"go socks dialer", "", "socks5", 80, "not allowed by ruleset", func(t *testing.T, c *client) result {
			return c.tryGo(t, nil, "socks", c.socksAddr(), c.plain("/hello"))
		}},
		{"skopeo", "skopeo", "connect", registryTLSPort, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "skopeo", "inspect", "docker://"+image(registryTLSPort))
		}},
		{"skopeo by socks5", "skopeo", "socks5", registryTLSPort, "not allowed by ruleset", func(t *testing.T, c *client) result {
			return c.try(t, proxyEnv(c.proxy("socks5")), "skopeo", "inspect", "docker://"+image(registryTLSPort))
		}},
		{"ctr", "ctr containerd", "connect", registryTLSPort, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "ctr", "--address", c.containerd(t, c.proxyEnv()), "images", "pull", image(registryTLSPort))
		}},
	}
}

// TestDenied sends each program to a name that no rule lets it reach: it is
// told, as far as it can show, and nothing is dialled.
func TestDenied(t *testing.T) {
	b := newBench(t, []string{forbidden})
	c := &client{bench: b, from: b.user, host: forbidden}
	c.refuse(t, denials(), func(port int) string {
		return fmt.Sprintf("no rule lets %s reach %s:%d", b.user.Addr(), forbidden, port)
	})
}

// refuse runs programs that are not let through. Each has to show the sentence
// for its port, and to leave a record of a request for which nothing was dialled.
func (c *client) refuse(t *testing.T, denials []denial, sentence func(port int) string) {
	t.Helper()
	for _, d := range denials {
		t.Run(d.name, func(t *testing.T) {
			lab.Need(t, lab.Needs{Programs: strings.Fields(d.needs)})
			seen := len(c.sluice.Records())
			r := d.run(t, c)
			said := r.out + r.err
			t.Logf("%s\n%s", r.line, strings.TrimSpace(clip(said)))
			if want := strings.ReplaceAll(d.shows, "SENTENCE", sentence(d.port)); !strings.Contains(said, want) {
				t.Errorf("it does not say %q", want)
			}
			c.wantDenied(t, seen, d)
		})
	}
	if peers := c.origin.strangers(""); len(peers) > 0 {
		t.Errorf("the origin was reached from %v", peers)
	}
}

// wantDenied waits for a record behind the first seen ones that tells of a
// refusal before anything was dialled. Where the credentials are refused, the
// destination may not have been told yet.
func (c *client) wantDenied(t *testing.T, seen int, d denial) {
	t.Helper()
	want := map[string]string{"client": c.from.Addr().String(), "protocol": d.protocol, "address": "", "tries": ""}
	c.sluice.WaitRecord(t, func(lab.Record) bool {
		return slices.ContainsFunc(c.sluice.Records()[seen:], func(r lab.Record) bool {
			told := r.String("host") == c.host && r.Int("port") == int64(d.port) && r.String("decision") == "deny"
			return r.Has(want) && (told || r.String("outcome") == "auth_required")
		})
	})
}
