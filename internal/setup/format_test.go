package setup

import (
	"encoding/json"
	"strings"
	"testing"
)

func options(t *testing.T, proxy string) Options {
	t.Helper()
	u, err := ParseProxy(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Proxy: u, Host: "worker-1", NoProxy: []string{".example.internal"}}
}

const relay = "http://relay.example.internal:3128"

var two = []Setting{{Name: "HTTP_PROXY", Value: relay}, {Name: "NO_PROXY", Value: "localhost,::1", Separator: ","}}

func TestWhatOthersWroteStays(t *testing.T) {
	for _, c := range []struct {
		name      string
		format    Format
		old, want string
	}{
		{"an empty environment file", Environment, "", "HTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"comments and other variables", Environment, "# mine\nOPTIONS='--debug'\n", "# mine\nOPTIONS='--debug'\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"old values in each spelling", Environment, "A=1\nexport http_proxy='http://old:1'\nB=2\nNo_Proxy=\"x\"\n", "A=1\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1,x\nB=2\n"},
		{"a list of exceptions", Environment, "NO_PROXY='.corp.example, localhost,*.x,*,10.0.0.0/8'\n", "HTTP_PROXY=" + relay + "\nNO_PROXY='localhost,::1,.corp.example,*.x,10.0.0.0/8'\n"},
		{"a commented old value", Environment, "#HTTP_PROXY=http://old:1\n", "#HTTP_PROXY=http://old:1\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"no newline at the end", Environment, "A=1", "A=1\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"CRLF", Environment, "A=1\r\nB=2\r\n", "A=1\r\nB=2\r\nHTTP_PROXY=" + relay + "\r\nNO_PROXY=localhost,::1\r\n"},
		{"a byte order mark", Environment, "\ufeffA=1\n", "\ufeffA=1\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"a line joined to the one before", Environment, "OPTIONS=a \\\nHTTP_PROXY=not-one\n", "OPTIONS=a \\\nHTTP_PROXY=not-one\nHTTP_PROXY=" + relay + "\nNO_PROXY=localhost,::1\n"},
		{"an OpenRC file", Exports, "DOCKER_OPTS=\n", "DOCKER_OPTS=\nexport HTTP_PROXY=" + relay + "\nexport NO_PROXY=localhost,::1\n"},
		{"an empty drop-in", DropIn, "", "[Service]\nEnvironment=\"HTTP_PROXY=" + relay + "\"\nEnvironment=\"NO_PROXY=localhost,::1\"\n"},
		{"a drop-in with more in it", DropIn, "[Unit]\nAfter=x\n[Service]\nLimitNOFILE=1\n\n[Install]\nAlias=y\n", "[Unit]\nAfter=x\n[Service]\nLimitNOFILE=1\nEnvironment=\"HTTP_PROXY=" + relay + "\"\nEnvironment=\"NO_PROXY=localhost,::1\"\n\n[Install]\nAlias=y\n"},
		{"a drop-in with several to a line", DropIn, "[Service]\nEnvironment=\"HTTP_PROXY=http://old:1\" 'A=b c' no_proxy=z\n", "[Service]\nEnvironment='A=b c'\nEnvironment=\"HTTP_PROXY=" + relay + "\"\nEnvironment=\"NO_PROXY=localhost,::1,z\"\n"},
		{"an old drop-in of one line", DropIn, "[Service]\nEnvironment=\"HTTP_PROXY=http://old:1\" \"NO_PROXY=z\"\nNice=5\n", "[Service]\nEnvironment=\"HTTP_PROXY=" + relay + "\"\nEnvironment=\"NO_PROXY=localhost,::1,z\"\nNice=5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.format.edit([]byte(c.old), two)
			if err != nil || string(got) != c.want {
				t.Fatalf("error %v, got\n%q\nwant\n%q", err, got, c.want)
			}
			again, err := c.format.edit(got, two)
			if err != nil || string(again) != c.want {
				t.Errorf("a second time: error %v, got\n%q\nwant it unchanged", err, again)
			}
		})
	}
}

func TestJSONKeepsUnknownKeysOrderAndNumbers(t *testing.T) {
	old := "{\n\t\"zz\": 12345678901234567890,\n\t\"proxies\": {\n\t\t\"tcp://other\": {\"httpProxy\": \"x\"}\n\t},\n\t\"a\": [1.50, \"<&>\"]\n}\n"
	settings := []Setting{{Name: "proxies.default.httpProxy", Value: relay}}
	got, err := JSON.edit([]byte(old), settings)
	if err != nil || !json.Valid(got) {
		t.Fatalf("%v, %s", err, got)
	}
	want := "{\n\t\"zz\": 12345678901234567890,\n\t\"proxies\": {\n\t\t\"tcp://other\": {\n\t\t\t\"httpProxy\": \"x\"\n\t\t},\n\t\t\"default\": {\n\t\t\t\"httpProxy\": \"" + relay + "\"\n\t\t}\n\t},\n\t\"a\": [\n\t\t1.50,\n\t\t\"<&>\"\n\t]\n}\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again, err := JSON.edit(got, settings); err != nil || string(again) != want {
		t.Errorf("a second time: %v\n%s", err, again)
	}
	compact := `{"proxies":{"default":{"httpProxy":"` + relay + `"}}}`
	if same, err := JSON.edit([]byte(compact), settings); err != nil || string(same) != compact {
		t.Errorf("what says all of it already was changed: %v\n%s", err, same)
	}
}

func TestAFileThatCannotBeReadIsNotGuessedAt(t *testing.T) {
	for _, c := range []struct {
		format    Format
		old, want string
	}{
		{JSON, "{\n  \"a\": 1,\n}", "line 3, column 1"},
		{JSON, "{", "broken JSON"},
		{JSON, "[1]", "no object"},
		{JSON, `{"proxies": "none"}`, `"proxies" is no object`},
		{JSON, "\ufeff{}", "byte order mark"},
		{JSON, "{} {}", "broken JSON"},
		{Environment, "HTTP_PROXY=\"a\nb\"\n", "line 1"},
		{Environment, "HTTP_PROXY=a\\\nb\n", "line 1"},
		{Environment, "A=a\\", "backslash"},
		{Environment, "A=\x00", "no text"},
		{Environment, "A=b\nNO_PROXY=a,$OTHER\n", "line 2: NO_PROXY has \"$OTHER\""},
		{DropIn, "[Service]\nEnvironment=\"HTTP_PROXY=a\n", "line 2"},
		{DropIn, "[Service]\nEnvironment=\"NO_PROXY=a b\"\n", "line 2"},
		{DropIn, "[Service]\nEnvironment=HTTP_PROXY=a \\\n  B=c\n", "line 2"},
	} {
		settings := two
		if c.format == JSON {
			settings = []Setting{{Name: "proxies.http-proxy", Value: relay}}
		}
		got, err := c.format.edit([]byte(c.old), settings)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: got %q and the error %v, want one with %q", c.format, c.old, got, err, c.want)
		}
	}
}

func TestAProxyThatCannotBeMeantIsRefusedWithWhatToWrite(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "--proxy is missing"},
		{"relay:3128", "http://HOST:PORT"},
		{"http://relay", "http://relay:3128"},
		{"http://[2001:db8::1]", "http://[2001:db8::1]:3128"},
		{"http://relay:3128/path", "leave it at http://relay:3128"},
		{"http://relay:3128?x", "leave it at http://relay:3128"},
		{"https://relay:3128", `the scheme "https"`},
		{"ftp://relay:1", `the scheme "ftp"`},
		{"http://relay:0", "from 1 to 65535"},
		{"http://relay:70000", "from 1 to 65535"},
		{"http://re lay:1", "a space"},
		{"http://relay;reboot:1", "no host name"},
		{"http://relay$(id):1", "no host name"},
		{"http://relay'x:1", "no host name"},
		{"http://relay%22x:1", "no proxy's URL"},
		{"http://[fe80::1%25eth0]:1", "a zone"},
		{"http://relay\n:1", "control character"},
		{"http://u:p%0Asslverify=0@relay:1", "control character"},
		{"http://u%0D:p@relay:1", "control character"},
	} {
		if u, err := ParseProxy(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v and the error %v, want one with %q", c.text, u, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"http://relay:3128/": "http://relay:3128", "HTTP://relay:3128": "http://relay:3128",
		"socks5h://relay:1080": "socks5://relay:1080", "http://[::1]:3128": "http://[::1]:3128",
		"http://u:p%25@relay:1": "http://u:p%25@relay:1",
	} {
		if u, err := ParseProxy(text); err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, u, err, want)
		}
	}
}

func TestExceptionsThatNoClientWouldUnderstandAreRefused(t *testing.T) {
	for _, bad := range []string{"http://x", "10.0.0.0/8/9", "10.0.0.0/99", "a b", "$(id)", "a;b", "a'b", `a"b`, "host:port", "fe80::1%$(id)", "[fe80::1%'eth0]"} {
		if got, err := ParseNoProxy(bad); err == nil {
			t.Errorf("%q gives %q, want it refused", bad, got)
		}
	}
	got, err := ParseNoProxy(" a.example , .b.example,*.c.example,192.0.2.1,2001:db8::/32,[::1],d.example:8080,,")
	if err != nil || len(got) != 7 {
		t.Errorf("%q, %v: want 7 entries", got, err)
	}
}

func TestAPercentInADropInIsNoSpecifier(t *testing.T) {
	f := dropIn("docker.service", environment)
	if text := f.Content(options(t, "http://u:p%40%25@relay:3128")); !strings.Contains(text, `"HTTP_PROXY=http://u:p%%40%%25@relay:3128"`) {
		t.Errorf("got\n%s", text)
	}
}

func TestADollarInAPasswordIsNoVariable(t *testing.T) {
	f := File{Format: Exports, Settings: environment}
	if text := f.Content(options(t, "http://u:$HOME@relay:3128")); !strings.Contains(text, "export HTTP_PROXY='http://u:$HOME@relay:3128'") {
		t.Errorf("got\n%s", text)
	}
}
