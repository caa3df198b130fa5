//go:build linux

package clients

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// credentialRows are the ways in which programs give a name and a password to a
// proxy. The password has every character that has to be escaped in a URL.
func credentialRows() []row {
	curl, wget, git, python, java := []string{"curl"}, []string{"wget"}, []string{"git"}, []string{"python3"}, []string{"java", "javac"}
	apt := []string{"apt-get", "dpkg-deb"}
	return []row{
		{"curl http", curl, func(t *testing.T, c *client) {
			c.run(t, nil, "curl", "-sSf", "-x", c.proxy("http"), "--proxy-user", alice+":"+password, c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"curl https", curl, func(t *testing.T, c *client) {
			c.run(t, proxyEnv(c.login("http")), "curl", "-sSf", "--cacert", c.ca.File(), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"curl https anyauth", curl, func(t *testing.T, c *client) {
			// It asks once without, and chooses from what the 407 offers.
			c.run(t, proxyEnv(c.login("http")), "curl", "-sSf", "--proxy-anyauth", "--cacert", c.ca.File(), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"curl socks5h", curl, func(t *testing.T, c *client) {
			c.run(t, nil, "curl", "-sSf", "-x", c.login("socks5h"), c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", plainPort, len(greeting))
		}},
		{"wget https", wget, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "wget", "--no-config", "-nv", "--proxy-user", alice, "--proxy-password", password,
				"--ca-certificate", c.ca.File(), "-O", "-", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"git https", git, func(t *testing.T, c *client) {
			env := append(c.gitEnv(), proxyEnv(c.login("http"))...)
			c.run(t, env, "git", "ls-remote", c.tls("/git/demo.git"))
			c.wantRecord(t, "connect", tlsPort, 1)
		}},
		{"apt http", apt, func(t *testing.T, c *client) {
			c.run(t, c.aptEnv(t, c.login("http"), c.plain("/debian")), "apt-get", "update", "--error-on=any")
			c.wantRecord(t, "http", plainPort, 1)
		}},
		{"python urllib https", python, func(t *testing.T, c *client) {
			env := append(proxyEnv(c.login("http")), "SSL_CERT_FILE="+c.ca.File())
			c.run(t, env, "python3", testdata(t, "fetch.py"), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"java httpclient", java, func(t *testing.T, c *client) {
			host, port, _ := strings.Cut(c.httpAddr(), ":")
			// Java sends no Basic credentials with CONNECT unless it is told that
			// nothing is switched off.
			c.run(t, []string{"PROXY_USER=" + alice, "PROXY_PASSWORD=" + password},
				"java", "-XX:TieredStopAtLevel=1", "-Djdk.http.auth.tunneling.disabledSchemes=", testdata(t, "Fetch.java"),
				host, port, c.ca.File(), c.plain("/hello"), c.tls("/hello")).wantGreeting(t, 2)
			c.wantRecord(t, "http", plainPort, len(greeting))
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"go http", nil, func(t *testing.T, c *client) {
			c.runGo(t, proxyEnv(c.login("http")), "fetch", c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"go https", nil, func(t *testing.T, c *client) {
			env := append(proxyEnv(c.login("http")), "SSL_CERT_FILE="+c.ca.File())
			c.runGo(t, env, "fetch", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"go https by socks5", nil, func(t *testing.T, c *client) {
			env := append(proxyEnv(c.login("socks5")), "SSL_CERT_FILE="+c.ca.File())
			c.runGo(t, env, "fetch", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", tlsPort, len(greeting))
		}},
	}
}

// login is the relay as a URL of this scheme with alice's credentials in it.
func (b *bench) login(scheme string) string {
	scheme, addr, _ := strings.Cut(b.proxy(scheme), "://")
	return (&url.URL{Scheme: scheme, User: url.UserPassword(alice, password), Host: addr}).String()
}

// TestCredentials lets programs through that give a name and a password.
func TestCredentials(t *testing.T) {
	runRows(t, credentialRows(), func(b *bench) (*lab.Host, string) { return b.member, "members" })
}

// TestNoCredentials sends programs without them, or with wrong ones, to the
// same place.
func TestNoCredentials(t *testing.T) {
	private := "private" + zone
	b := newBench(t, []string{private})
	c := &client{bench: b, from: b.member, host: private}
	const wrong = "sluice: the user or the password is wrong"
	c.refuse(t, []denial{
		{"curl http", "curl", "http", 80, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "curl", "-sS", c.plain("/hello"))
		}},
		{"curl https", "curl", "connect", 443, "407", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "curl", "-sS", c.tls("/hello"))
		}},
		{"curl https verbose, wrong password", "curl", "connect", 443, "< HTTP/1.1 407 " + wrong, func(t *testing.T, c *client) result {
			return c.try(t, nil, "curl", "-sSv", "-x", c.proxy("http"), "--proxy-user", alice+":wrong", c.tls("/hello"))
		}},
		{"curl socks5h, wrong password", "curl", "socks5", 443, "User was rejected by the SOCKS5 server", func(t *testing.T, c *client) result {
			return c.try(t, nil, "curl", "-sS", "-x", c.proxy("socks5h"), "--proxy-user", alice+":wrong", c.tls("/hello"))
		}},
		{"wget https", "wget", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "wget", "--no-config", "-nv", "-O", "-", c.tls("/hello"))
		}},
		{"git https", "git", "connect", 443, "407", func(t *testing.T, c *client) result {
			return c.try(t, c.gitEnv(), "git", "ls-remote", c.tls("/git/demo.git"))
		}},
		{"apt http", "apt-get", "http", 80, "407  sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.aptEnv(t, c.proxy("http"), c.plain("/debian")), "apt-get", "update")
		}},
		{"python urllib https", "python3", "connect", 443, "Tunnel connection failed: 407 sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "python3", testdata(t, "fetch.py"), c.tls("/hello"))
		}},
		{"go https", "", "connect", 443, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.tryGo(t, c.proxyEnv(), "fetch", c.tls("/hello"))
		}},
		{"skopeo", "skopeo", "connect", registryTLSPort, "sluice: SENTENCE", func(t *testing.T, c *client) result {
			return c.try(t, c.proxyEnv(), "skopeo", "inspect", fmt.Sprintf("docker://%s:%d/demo:1", c.host, registryTLSPort))
		}},
	}, func(port int) string {
		return fmt.Sprintf("%s needs a user and a password to reach %s:%d", b.member.Addr(), private, port)
	})
}
