//go:build linux

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// languageRows are programs as people write them with a language's own library.
func languageRows() []row {
	python, java, node := []string{"python3"}, []string{"java", "javac"}, []string{"node"}
	return []row{
		{"go http", nil, func(t *testing.T, c *client) {
			c.runGo(t, c.proxyEnv(), "fetch", c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"go https", nil, func(t *testing.T, c *client) {
			c.runGo(t, append(c.proxyEnv(), "SSL_CERT_FILE="+c.ca.File()), "fetch", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"go https by socks5", nil, func(t *testing.T, c *client) {
			env := []string{"HTTPS_PROXY=" + c.proxy("socks5"), "SSL_CERT_FILE=" + c.ca.File()}
			c.runGo(t, env, "fetch", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", tlsPort, len(greeting))
		}},
		{"go socks dialer", nil, func(t *testing.T, c *client) {
			c.runGo(t, nil, "socks", c.socksAddr(), c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", plainPort, len(greeting))
		}},
		{"pipelined requests", nil, func(t *testing.T, c *client) {
			const n = 50
			c.runGo(t, nil, "pipeline", c.httpAddr(), c.host, fmt.Sprint(n))
			for i := range n + 1 {
				if path := fmt.Sprintf("/n/%d", i); c.origin.asked(path) != 1 {
					t.Errorf("%s was asked for %d times", path, c.origin.asked(path))
				}
			}
			c.wantTraffic(t, traffic{protocol: "http", port: plainPort, down: 1, count: n + 1})
		}},
		{"upgrade", nil, func(t *testing.T, c *client) {
			r := c.runGo(t, nil, "upgrade", c.httpAddr(), c.host)
			if want := "READY\nLINE 0\nLINE 1\nLINE 2\n"; r.out != want {
				t.Errorf("heard %q, want %q", r.out, want)
			}
			c.wantRecord(t, "http", plainPort, len(r.out))
		}},
		{"python urllib http", python, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "python3", testdata(t, "fetch.py"), c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"python urllib https", python, func(t *testing.T, c *client) {
			env := append(c.proxyEnv(), "SSL_CERT_FILE="+c.ca.File())
			c.run(t, env, "python3", testdata(t, "fetch.py"), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"java httpclient", java, func(t *testing.T, c *client) {
			host, port, _ := strings.Cut(c.httpAddr(), ":")
			c.run(t, nil, "java", "-XX:TieredStopAtLevel=1", testdata(t, "Fetch.java"), host, port, c.ca.File(),
				c.plain("/hello"), c.tls("/hello")).wantGreeting(t, 2)
			c.wantRecord(t, "http", plainPort, len(greeting))
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"node fetch", node, func(t *testing.T, c *client) {
			env := append(c.proxyEnv(), "NODE_EXTRA_CA_CERTS="+c.ca.File())
			r := c.run(t, env, "node", testdata(t, "fetch.mjs"), c.plain("/hello"), c.tls("/hello"))
			r.wantGreeting(t, 2)
			t.Logf("fetch went by %s", strings.TrimSpace(r.err))
			// CONNECT for http:// too up to Node 24, absolute form in Node 26.
			c.wantTraffic(t, traffic{protocol: "connect|http", port: plainPort, down: len(greeting)})
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
	}
}

// runGo runs one of this binary's own programs on the client's host.
func (c *client) runGo(t *testing.T, env []string, program string, args ...string) result {
	t.Helper()
	r := c.tryGo(t, env, program, args...)
	if !r.ok {
		t.Fatalf("%s\n%s", r.line, r)
	}
	return r
}

func (c *client) tryGo(t *testing.T, env []string, program string, args ...string) result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := c.try(t, append(env, programVar+"="+program), self, args...)
	r.line = "go program " + program + " " + strings.Join(args, " ")
	return r
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
