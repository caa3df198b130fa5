package forward

import (
	"errors"
	"testing"

	"sluice/acl"
)

func TestTargetsOfConnect(t *testing.T) {
	for in, want := range map[string]any{
		"example.com:443":             "example.com:443",
		"EXAMPLE.com.:443":            "example.com:443",
		"b\xc3\xbccher.example:443":   "xn--bcher-kva.example:443",
		"xn--bcher-kva.example:443":   "xn--bcher-kva.example:443",
		"a_b.example:1":               "a_b.example:1",
		"192.0.2.1:65535":             "192.0.2.1:65535",
		"192.0.2.1:00080":             "192.0.2.1:80",
		"3221225985:80":               "192.0.2.1:80",
		"0300.0.02.1:80":              "192.0.2.1:80",
		"0xC0.0x00.0x2.0x1:80":        "192.0.2.1:80",
		"192.513:80":                  "192.0.2.1:80",
		"[2001:db8::1]:443":           "[2001:db8::1]:443",
		"[2001:DB8:0:0::1]:443":       "[2001:db8::1]:443",
		"[::ffff:192.0.2.1]:443":      "192.0.2.1:443",
		"[::FFFF:c000:201]:443":       "192.0.2.1:443",
		"example.com":                 flawAuthority,
		"example.com:":                flawPort,
		"example.com:0":               flaw("the port is not a number from 1 to 65535"),
		"example.com:65536":           flaw("the port is not a number from 1 to 65535"),
		"example.com:099999":          flawPort,
		"example.com:+443":            flawPort,
		"example.com:443 ":            flawPort,
		"example.com:4a":              flawPort,
		"example.com:https":           flawPort,
		"example.com:443:443":         flawPort,
		":443":                        flawNoHostName,
		".:443":                       flaw(acl.ErrHostBad.Error()),
		"a..b:443":                    flaw(acl.ErrHostBad.Error()),
		"example.com/:443":            flawAuthority,
		"http://example.com:443":      flawAuthority,
		"user@example.com:443":        flawUserinfo,
		"user:pw@example.com:443":     flawUserinfo,
		"exa%6dple.com:443":           flawEscape,
		"[fe80::1%25eth0]:443":        flawEscape,
		"[fe80::1%eth0]:443":          flawEscape,
		"[::1]":                       flawAuthority,
		"[::1]443":                    flawBracket,
		"[::1]x:443":                  flawBracket,
		"[::1:443":                    flawBracket,
		"[]:443":                      flaw(acl.ErrHostBad.Error()),
		"[v1.x]:443":                  flawBracket,
		"[192.0.2.1]:443":             flaw(acl.ErrHostBad.Error()),
		"[[::1]]:443":                 flawBracket,
		"::1:443":                     flawNoHostName,
		"2001:db8::1:443":             flawPort,
		"exam\x00ple.com:443":         flawHostChars,
		"exam\\ple.com:443":           flawHostChars,
		"exam,ple.com:443":            flawHostChars,
		"exam'ple.com:443":            flawHostChars,
		"192.0.2.256:443":             flaw(acl.ErrHostBad.Error()),
		"1.2.3.4.5:443":               flaw(acl.ErrHostBad.Error()),
		"example.com?:443":            flawHostChars,
		"example.com#:443":            flawHostChars,
		"*:443":                       flawHostChars,
		"*.example.com:443":           flawHostChars,
		"example.com:443,example.org": flawPort,
	} {
		got, err := parseConnect([]byte(in))
		check(t, in, got, err, want)
	}
}

func TestTargetsInAbsoluteForm(t *testing.T) {
	for in, want := range map[string]any{
		"http://example.com":                 "example.com:80",
		"HTTP://example.com/":                "example.com:80",
		"http://example.com:8080/a?b":        "example.com:8080",
		"http://example.com?b":               "example.com:80",
		"http://[2001:db8::1]/":              "[2001:db8::1]:80",
		"http://[2001:db8::1]:81/":           "[2001:db8::1]:81",
		"http://0x7f.1/":                     "127.0.0.1:80",
		"http://example.com/@other.example/": "example.com:80",
		"http://example.com/?@other.example": "example.com:80",
		"http://example.com?@other.example":  "example.com:80",
		"http://":                            flawNoHostName,
		"http:///":                           flawNoHostName,
		"http://?":                           flawNoHostName,
		"http://a@b/":                        flawUserinfo,
		"http://a%2eb/":                      flawEscape,
		"http://a/#":                         flawFragment,
		"http://a#@b/":                       flawFragment,
		"http://a\\b/":                       flawHostChars,
		"http://a;b/":                        flawHostChars,
		"http://a:80:81/":                    flawPort,
		"https://a/":                         flawHTTPS,
		"HTTPS://a/":                         flawHTTPS,
		"ftp://a/":                           flawScheme,
		"http:a":                             flawScheme,
		"http:/a":                            flawScheme,
		"a:80":                               flawScheme,
		"/a":                                 flawOriginForm,
		"*":                                  flawAsterisk,
	} {
		got, err := parseAbsolute([]byte(in))
		check(t, in, got, err, want)
	}
}

func check(t *testing.T, in string, got target, err error, want any) {
	t.Helper()
	switch want := want.(type) {
	case string:
		if err != nil || got.host.Join(got.port) != want {
			t.Errorf("%q: got %s, %v; want %s", in, got.host.Join(got.port), err, want)
		}
	case flaw:
		if !errors.Is(err, want) {
			t.Errorf("%q: got %s, %v; want %v", in, got.host.Join(got.port), err, want)
		}
	}
}

func TestHostIsSpelledAsItWasDecidedAbout(t *testing.T) {
	for in, want := range map[string]string{
		"http://Example.COM/":           "Example.COM",
		"http://example.com:80/":        "example.com:80",
		"http://example.com:080/":       "example.com:80",
		"http://example.com./":          "example.com",
		"http://example.com.:81/":       "example.com:81",
		"http://b\xc3\xbccher.example/": "xn--bcher-kva.example",
		"http://127.1/":                 "127.0.0.1",
		"http://0x7f000001:8080/":       "127.0.0.1:8080",
		"http://[2001:DB8::1]/":         "[2001:DB8::1]",
		"http://[2001:db8:0::1]:81/":    "[2001:db8::1]:81",
		"http://[::ffff:1.2.3.4]/":      "1.2.3.4",
	} {
		got, err := parseAbsolute([]byte(in))
		if err != nil || string(got.authority) != want {
			t.Errorf("%q: got %q, %v; want %q", in, got.authority, err, want)
		}
	}
}
