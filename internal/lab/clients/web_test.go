//go:build linux

package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// uploadSize is the size in bytes of the bodies that are sent: above the
// 1 MB from which curl asks for a 100 first, and more than sockets buffer.
const uploadSize = 64<<20 + 789

// webRows are the programs that fetch and send by URL.
func webRows() []row {
	curl, wget, openssl := []string{"curl"}, []string{"wget"}, []string{"openssl"}
	return []row{
		{"curl http", curl, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "curl", "-sSf", c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"curl https", curl, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "curl", "-sSf", "--cacert", c.ca.File(), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"curl proxytunnel", curl, func(t *testing.T, c *client) {
			c.run(t, nil, "curl", "-sSf", "--proxytunnel", "-x", c.proxy("http"), c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", plainPort, len(greeting))
		}},
		{"curl socks5", curl, func(t *testing.T, c *client) {
			// The name is looked up here, so the relay is asked for an address.
			c.run(t, nil, "curl", "-sSf", "-x", c.proxy("socks5"), "--cacert", c.ca.File(), c.tls("/hello")).wantGreeting(t, 1)
			c.wantTraffic(t, traffic{protocol: "socks5", port: tlsPort, host: c.far.Addr().String(), down: len(greeting), up: 1})
		}},
		{"curl socks5h", curl, func(t *testing.T, c *client) {
			c.run(t, nil, "curl", "-sSf", "-x", c.proxy("socks5h"), "--cacert", c.ca.File(), c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", tlsPort, len(greeting))
		}},
		{"curl socks5h on the port of http", curl, func(t *testing.T, c *client) {
			c.run(t, nil, "curl", "-sSf", "-x", "socks5h://"+c.httpAddr(), c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "socks5", plainPort, len(greeting))
		}},
		{"curl keep-alive", curl, func(t *testing.T, c *client) {
			// -v tells of each connection; a second one would be the relay's doing.
			url := c.plain("/hello")
			r := c.run(t, c.proxyEnv(), "curl", "-sSfv", url, url, url)
			r.wantGreeting(t, 3)
			if n := strings.Count(r.err, "Re-using existing connection"); n != 2 {
				t.Errorf("%d of 2 requests used the connection again\n%s", n, r.err)
			}
			c.wantTraffic(t, traffic{protocol: "http", port: plainPort, down: len(greeting), count: 3})
		}},
		{"curl large download http", curl, func(t *testing.T, c *client) {
			// The head and the body, as curl has them.
			got := c.download(t, c.plain("/big"))
			rec := c.wantTraffic(t, traffic{protocol: "http", port: plainPort, down: bigSize})[0]
			if down := rec.Int("bytes_down"); down != got {
				t.Errorf("the record has %d bytes down, curl %d", down, got)
			}
		}},
		{"curl large download https", curl, func(t *testing.T, c *client) {
			in, out := c.secure.BytesIn(), c.secure.BytesOut()
			c.download(t, c.tls("/big"))
			rec := c.wantTraffic(t, traffic{protocol: "connect", port: tlsPort, down: bigSize})[0]
			in, out = c.secure.BytesIn()-in, c.secure.BytesOut()-out
			if up, down := rec.Int("bytes_up"), rec.Int("bytes_down"); up != in || down != out {
				t.Errorf("the record has %d bytes up and %d down, the origin %d and %d", up, down, in, out)
			}
		}},
		{"curl large upload http", curl, func(t *testing.T, c *client) {
			got := c.upload(t, c.plain("/upload"), false)
			if got.Expect != "100-continue" {
				t.Errorf("the origin got Expect %q", got.Expect)
			}
			c.wantRecordUp(t, "http", plainPort, uploadSize)
		}},
		{"curl large upload https", curl, func(t *testing.T, c *client) {
			c.upload(t, c.tls("/upload"), false)
			c.wantRecordUp(t, "connect", tlsPort, uploadSize)
		}},
		{"curl chunked upload http", curl, func(t *testing.T, c *client) {
			if got := c.upload(t, c.plain("/upload"), true); got.Transfer != "chunked" {
				t.Errorf("the origin got transfer coding %q", got.Transfer)
			}
			c.wantRecordUp(t, "http", plainPort, uploadSize)
		}},
		{"curl refused upload", curl, refusedUpload},
		{"wget http", wget, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "wget", "--no-config", "-nv", "-O", "-", c.plain("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "http", plainPort, len(greeting))
		}},
		{"wget https", wget, func(t *testing.T, c *client) {
			c.run(t, c.proxyEnv(), "wget", "--no-config", "-nv", "--ca-certificate", c.ca.File(), "-O", "-", c.tls("/hello")).wantGreeting(t, 1)
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
		{"openssl s_client", openssl, func(t *testing.T, c *client) {
			// It sends CONNECT as HTTP/1.0 and no Host.
			request := fmt.Sprintf("GET /hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.host)
			r := c.tryInput(t, []byte(request), nil, "openssl", "s_client", "-quiet", "-verify_return_error",
				"-CAfile", c.ca.File(), "-proxy", c.httpAddr(), "-servername", c.host, "-connect", c.host+":443")
			if !r.ok || !strings.HasSuffix(r.out, "\r\n\r\n"+greeting) {
				t.Fatalf("%s\n%s", r.line, r)
			}
			c.wantRecord(t, "connect", tlsPort, len(greeting))
		}},
	}
}

// download fetches the large body with curl, compares its hash, and returns how
// many bytes the answer had, head and body.
func (c *client) download(t *testing.T, url string) int64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "big")
	r := c.run(t, c.proxyEnv(), "curl", "-sSf", "--cacert", c.ca.File(), "-o", file, "-w", "%{size_header} %{size_download}", url)
	if got, want := sumFile(t, file), noiseSum(1, bigSize); got != want {
		t.Errorf("%s: sha256 is %s, want %s", url, got, want)
	}
	var head, body int64
	if _, err := fmt.Sscan(r.out, &head, &body); err != nil {
		t.Fatalf("curl's sizes %q: %v", r.out, err)
	}
	return head + body
}

// upload sends a large body with curl, from a file or, of unknown length, from
// its standard input, and compares what the origin says it was.
func (c *client) upload(t *testing.T, url string, chunked bool) upload {
	t.Helper()
	body := noiseBytes(4, uploadSize)
	from, stdin := "-", body
	if !chunked {
		from, stdin = filepath.Join(t.TempDir(), "body"), nil
		if err := os.WriteFile(from, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The patience for a 100 is far beyond any slowness of the machine: curl
	// going on without it is a loss of the 100 on the way.
	r := c.tryInput(t, stdin, c.proxyEnv(), "curl", "-sSfv", "--http1.1", "--cacert", c.ca.File(),
		"-H", "Expect: 100-continue", "--expect100-timeout", "20", "-T", from, url)
	if !r.ok {
		t.Fatalf("%s\n%s", r.line, r)
	}
	if !strings.Contains(r.err, "< HTTP/1.1 100 Continue") || strings.Contains(r.err, "Done waiting for 100-continue") {
		t.Errorf("no 100 reached the client in time\n%s", clip(r.err))
	}
	var got upload
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	if got.Bytes != uploadSize || got.SHA256 != sum256(body) {
		t.Errorf("the origin got %d bytes of hash %s, want %d of %s", got.Bytes, got.SHA256, uploadSize, sum256(body))
	}
	return got
}

// refusedUpload asks for a 100 and gets a 403: curl then keeps its body, and
// the relay must not have asked for it by a 100 of its own.
func refusedUpload(t *testing.T, c *client) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), uploadSize), 0o644); err != nil {
		t.Fatal(err)
	}
	r := c.try(t, c.proxyEnv(), "curl", "-sSv", "--expect100-timeout", "20", "-T", file, c.plain("/refuse"))
	if !r.ok || !strings.Contains(r.out, "not wanted here") {
		t.Fatalf("%s\n%s", r.line, r)
	}
	if strings.Contains(r.err, "100 Continue") {
		t.Errorf("a 100 that the origin has not sent\n%s", r.err)
	}
	for _, rec := range c.wantTraffic(t, traffic{protocol: "http", port: plainPort, down: 1}) {
		if up := rec.Int("bytes_up"); up > 1000 { // the request's head has some 180
			t.Errorf("%d bytes of a refused upload went up", up)
		}
	}
}
