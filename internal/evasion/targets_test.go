//go:build linux

package evasion

import "testing"

// portTexts are spellings of a port and the number that they mean; 0: malformed.
var portTexts = []struct {
	text string
	port uint16
}{
	{"80", 80}, {"080", 80}, {"0080", 80}, {"00080", 80}, {"443", 443}, {"00443", 443}, {"65535", 65535},
	{"", 0}, {"0", 0}, {"00", 0}, {"00000", 0}, {"000080", 0}, {"65536", 0}, {"65616", 0}, {"99999", 0}, {"131152", 0}, {"4294967376", 0}, {"18446744073709551696", 0},
	{"-80", 0}, {"+80", 0}, {" 80", 0}, {"80 ", 0}, {"8 0", 0}, {"\t80", 0}, {"80\t", 0}, {"80\x00", 0}, {"\x0080", 0}, {"80\r", 0}, {"80\n", 0}, {"80x", 0}, {"x80", 0}, {"0x50", 0}, {"0X50", 0},
	{"0o120", 0}, {"0b1010000", 0}, {"8_0", 0}, {"8,0", 0}, {"80.", 0}, {"80.0", 0}, {"8e1", 0}, {"http", 0}, {"https", 0}, {"%38%30", 0}, {"80%20", 0},
	{"\uff18\uff10", 0}, {"\u0668\u0660", 0}, {"\u2467\u24ea", 0}, {"8\u00ad0", 0}, {"\u00b2\u00b2", 0}, {"80:80", 0}, {":80", 0}, {"80:", 0}, {"80@denied.test", 0}, {"80@denied.test:80", 0}, {"80\\", 0}, {"*", 0}, {"80-81", 0},
}

// A port is a number in digits, or the request is malformed.
func TestPorts(t *testing.T) {
	p := start(t, openRules, 80, 443, 65535)
	for _, host := range []string{"allowed.test", "8.8.8.8", "[2606:4700:4700::1111]"} {
		for _, c := range portTexts {
			w := want{host, c.port, passes}
			if c.port == 0 {
				w.verdict = malformed
			}
			if host[0] == '[' {
				w.means = host[1 : len(host)-1]
			}
			for _, way := range ways {
				if b, can := way.request(host, c.text); can {
					p.holds(t, way, b, w)
				}
			}
		}
	}
	p.holds(t, socks, socksRequest(atypName, "allowed.test", 0), want{verdict: malformed})
}

// A port that the rules do not name is denied, however it is written.
func TestPortsThatNoRuleNames(t *testing.T) {
	const rules = `
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "web"
action = "allow"
clients = ["127.0.0.0/8"]
[limits]
new_tunnels = "100000/s"
[egress]
prefer = "auto"
`
	p := start(t, rules, 80, 443, 22, 65535)
	for _, c := range portTexts {
		w := want{"allowed.test", c.port, passes}
		switch c.port {
		case 0:
			w.verdict = malformed
		case 65535:
			w.verdict = denied
		}
		for _, way := range ways {
			if b, can := way.request("allowed.test", c.text); can {
				p.holds(t, way, b, w)
			}
		}
	}
	for _, text := range []string{"22", "022", "00022"} {
		for _, way := range ways {
			if b, can := way.request("8.8.8.8", text); can {
				p.holds(t, way, b, want{"8.8.8.8", 22, denied})
			}
		}
	}
}

// Targets in absolute-form whose authority two readers could find in two places.
func TestWhereTheAuthorityOfAURIIs(t *testing.T) {
	p := start(t, openRules, 80, 443)
	for _, c := range []struct {
		uri     string
		means   string
		port    uint16
		verdict verdict
	}{
		{"http://allowed.test/", "allowed.test", 80, passes},
		{"http://allowed.test", "allowed.test", 80, passes},
		{"HTTP://allowed.test/", "allowed.test", 80, passes},
		{"hTtP://ALLOWED.test:443/", "allowed.test", 443, passes},
		{"http://allowed.test?@denied.test/", "allowed.test", 80, passes},
		{"http://allowed.test/@denied.test/", "allowed.test", 80, passes},
		{"http://allowed.test/?http://denied.test/", "allowed.test", 80, passes},
		{"http://allowed.test//denied.test/", "allowed.test", 80, passes},
		{"http://allowed.test/..//denied.test", "allowed.test", 80, passes},
		{"http://denied.test?@allowed.test/", "denied.test", 80, denied},
		{"http://denied.test/@allowed.test/", "denied.test", 80, denied},
		{"http://denied.test", "denied.test", 80, denied},
		{"http://169.254.169.254/latest/meta-data/", "169.254.169.254", 80, notPublic},
		{"http://169.254.169.254?allowed.test", "169.254.169.254", 80, notPublic},
		{"http://0xa9fea9fe/latest", "169.254.169.254", 80, notPublic},
		{"http://[::ffff:a9fe:a9fe]/latest", "169.254.169.254", 80, notPublic},
		{"http://allowed.test#@denied.test/", "", 0, malformed},
		{"http://allowed.test/#denied", "", 0, malformed},
		{"http://allowed.test@denied.test/", "", 0, malformed},
		{"http://allowed.test:80@denied.test/", "", 0, malformed},
		{"http://allowed.test:80@denied.test:80/", "", 0, malformed},
		{"http://allowed.test%40denied.test/", "", 0, malformed},
		{"http://denied.test%2f@allowed.test/", "", 0, malformed},
		{"http://allowed.test\\@denied.test/", "", 0, malformed},
		{"http://allowed.test\\.denied.test/", "", 0, malformed},
		{"http:\\\\denied.test/", "", 0, malformed},
		{"http:/\\denied.test/", "", 0, malformed},
		{"http:///denied.test/", "", 0, malformed},
		{"http:////denied.test/", "", 0, malformed},
		{"http:/denied.test/", "", 0, malformed},
		{"http:denied.test/", "", 0, malformed},
		{"http//denied.test/", "", 0, malformed},
		{"//denied.test/", "", 0, malformed},
		{"denied.test/", "", 0, malformed},
		{"denied.test:80", "", 0, malformed},
		{"*", "", 0, malformed},
		{"https://denied.test/", "", 0, malformed},
		{"ftp://denied.test/", "", 0, malformed},
		{"ws://denied.test/", "", 0, malformed},
		{"file:///etc/passwd", "", 0, malformed},
		{"gopher://169.254.169.254:80/_x", "", 0, malformed},
		{"http+unix://denied.test/", "", 0, malformed},
		{"view-source:http://denied.test/", "", 0, malformed},
		{"http\u003a//", "", 0, malformed},
		{"http://allowed.test:/", "", 0, malformed},
		{"http://allowed.test:80:443/", "", 0, malformed},
		{"http://[::ffff:a9fe:a9fe]80/", "", 0, malformed},
		{"http://[::1%25lo]/", "", 0, malformed},
		{"http://169.254.169.254 /", "", 0, malformed},
		{"http://169.254.169.254\t/", "", 0, malformed},
		{"http:// 169.254.169.254/", "", 0, malformed},
		{"\thttp://denied.test/", "", 0, malformed},
		{" http://denied.test/", "", 0, malformed},
	} {
		b := "GET " + c.uri + " HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"
		p.holds(t, absolute, []byte(b), want{c.means, c.port, c.verdict})
	}
}

// What is asked of the proxy itself leads nowhere else, whatever its Host or path says.
func TestAskingTheProxyItselfReachesNobody(t *testing.T) {
	p := start(t, openRules, 80)
	for _, path := range []string{"/", "/denied.test/", "/http://denied.test/", "/setup/docker", "/setup/http://169.254.169.254/", "/proxy.pac", "/@denied.test/", "/\\denied.test/", "/setup/docker?no-proxy=denied.test"} {
		for _, host := range []string{"allowed.test", "denied.test", "169.254.169.254", "127.0.0.1", "[::ffff:a9fe:a9fe]:80"} {
			b := []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nX-Original-URL: http://denied.test/\r\nConnection: keep-alive\r\n\r\nGET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n")
			o := p.ask(t, absolute, b)
			if o.record.Outcome != "ok" || o.record.Host != "" || o.record.Tries != 0 || len(o.visits)+len(o.questions)+o.connects+o.datagrams != 0 {
				t.Errorf("%s of %s: %+v", path, host, o)
			}
		}
	}
	if n := len(p.records); n > 0 {
		t.Errorf("%d requests were read behind those", n)
	}
}

// The target alone says where a request goes, never a header.
func TestNoHeaderSaysWhereARequestGoes(t *testing.T) {
	p := start(t, openRules, 80)
	for _, field := range []string{
		"Host: denied.test", "Host: 169.254.169.254", "X-Forwarded-Host: 169.254.169.254", "X-Forwarded-For: 8.8.8.8", "X-Real-IP: 8.8.8.8", "Forwarded: for=8.8.8.8;host=denied.test",
		"X-Original-URL: http://denied.test/", "X-Rewrite-URL: http://denied.test/", "X-Host: denied.test", "Proxy-Host: denied.test", "True-Client-IP: 8.8.8.8",
	} {
		for host, verdict := range map[string]verdict{"allowed.test": passes, "denied.test": denied, "169.254.169.254": notPublic} {
			w := want{host, 80, verdict}
			p.holds(t, connect, []byte("CONNECT "+host+":80 HTTP/1.1\r\n"+field+"\r\n\r\n"), w)
			hosts := ""
			if field[:5] != "Host:" {
				hosts = "Host: allowed.test\r\n"
			}
			p.holds(t, absolute, []byte("GET http://"+host+"/ HTTP/1.1\r\n"+hosts+field+"\r\nConnection: close\r\n\r\n"), w)
		}
	}
}
