package accesslog

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"sluice/internal/track"
)

// hostile are texts that would like to be a line or a field of their own.
var hostile = map[string]string{
	"newline":           "a\nb",
	"carriage return":   "a\r\nb\rc",
	"tab":               "a\tb",
	"NUL":               "a\x00b",
	"all of C0 and DEL": "\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x1a\x1b\x1c\x1d\x1e\x1f\x7f",
	"ANSI":              "\x1b[2J\x1b]0;title\x07",
	"8-bit ANSI":        "\u009b2J\u009d0;title\u009c",
	"NEL":               "a\u0085b",
	"line separators":   "a\u2028b\u2029c",
	"turned around":     "\u202egnp.exe\u2066\u200f",
	"invisible":         "a\u200b\ufeff\u00adb\U000e0041",
	"not UTF-8":         "a\xff\xfe\xc0\x80\xed\xa0\x80b",
	"cut off":           "a\xe2\x80",
	"quotes":            `a"b'c`,
	"backslashes":       `a\b\\c\n\u000a`,
	"a record":          "x\",\"outcome\":\"ok\",\"user\":\"root\n{\"msg\":\"tunnel\"}",
	"a console line":    "x\n2026-01-02T03:04:05.006Z\tinfo\ttunnel\t{\"user\": \"root\"}",
	"a Squid line":      "x HIER_DIRECT/192.0.2.1 -\n1700000000.123 3000 192.0.2.7 TCP_TUNNEL/200 20 CONNECT evil:443 root HIER_NONE/- -",
	"a dash":            "-",
	"percent":           "a%20b%0A",
	"a space":           " a b ",
	"readable":          "jürgen 東京 🐳",
	"beyond the plane":  "\U0001F433\U000F0000",
}

// oneLine wants a line to be one line that a terminal shows as it is.
func oneLine(t *testing.T, line string, tabs int) {
	t.Helper()
	body, ok := strings.CutSuffix(line, "\n")
	if !ok {
		t.Fatalf("no line: %q", line)
	}
	for _, r := range body {
		if r == '\t' && tabs > 0 {
			tabs--
			continue
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%U stands in %q", r, line)
		}
	}
}

func forged(text string) *track.Record {
	r := sample()
	r.Protocol = track.HTTP
	r.User, r.Host, r.Method, r.Path, r.Rule, r.Reason, r.Listener, r.How = text, text, text, text, text, text, text, text
	return r
}

var textFields = []string{"user", "host", "method", "path", "rule", "reason", "listener", "closed_how"}

// sameFields reads the fields back. What is no UTF-8 comes back as U+FFFD.
func sameFields(t *testing.T, object, text string) {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(object))
	if err := d.Decode(&m); err != nil || d.More() {
		t.Fatalf("not one object: %q", object)
	}
	want := string([]rune(text))
	for _, f := range textFields {
		if m[f] != want {
			t.Errorf("%s is %q, not %q", f, m[f], want)
		}
	}
	if m["outcome"] != "ok" || m["rule"] == "docker-hosts" {
		t.Errorf("record %v", m)
	}
	if n := strings.Count(object, `"outcome":`); n != 1 { // in a text the quotes are escaped
		t.Errorf("%d outcomes in %q", n, object)
	}
}

func TestNoTextCanForgeALineOrAField(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			line := write(t, JSON, forged(text))
			oneLine(t, line, 0)
			sameFields(t, line, text)

			line = write(t, Console, forged(text))
			oneLine(t, line, 3)
			parts := strings.SplitN(line, "\t", 4)
			if len(parts) != 4 || parts[1] != "info" || parts[2] != "request" {
				t.Fatalf("parts %q", parts)
			}
			sameFields(t, parts[3], text)

			line = write(t, Squid, forged(text))
			oneLine(t, line, 0)
			fields := strings.Fields(line)
			if len(fields) != 10 || strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) {
				t.Fatalf("fields %q", fields)
			}
			if user, err := url.PathUnescape(fields[7]); err != nil || user != text || fields[7] == "-" {
				t.Errorf("user %q comes back as %q, %v", text, user, err)
			}
			if fields[8] != "HIER_DIRECT/203.0.113.9" || fields[9] != "-" || fields[2] != "192.0.2.7" {
				t.Errorf("fields %q", fields)
			}
		})
	}
}

func FuzzNoTextCanForgeALine(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	e := newEncoder(JSON)
	f.Fuzz(func(t *testing.T, text string) {
		r := forged(text)
		if text == "" {
			return
		}
		line := string(e.appendRecord(nil, &record{Record: *r}))
		oneLine(t, line, 0)
		sameFields(t, line, text)
		line = string(appendSquid(nil, r, r.Start))
		oneLine(t, line, 0)
		if n := len(strings.Fields(line)); n != 10 {
			t.Errorf("%d fields in %q", n, line)
		}
	})
}
