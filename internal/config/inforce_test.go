package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// everything sets each key to something else than its default.
const everything = `
open = true
mode = "observe"
[[listener]]
address = "127.0.0.1:3128"
protocol = "socks5"
[admin]
address = "unix:/run/sluice/admin.sock"
[[rule]]
name = "hosts"
action = "allow"
mode = "observe"
clients = ["192.0.2.0/24"]
users = ["ann"]
to = ["@docker-hub", "*.example.com"]
ports = [443, "8000-8099"]
download = "50MB/s"
upload = "10MB/s"
[[user]]
name = "ann"
password = "$2y$10$WFhbh4zYnLk8Q7hXqDYhKeWzC0yYCvB5V3yTQqYq3J9x1h5Qm6R2C"
[limits]
download = "20MB/s"
upload = "30MB/s"
burst = "2MiB"
handshakes = 100
tunnels = 200
new_tunnels = "30/m"
[server]
max_handshakes = 500
max_tunnels = 600
drain = "90s"
recheck = true
[timeouts]
handshake = "1s"
dial = "2500ms"
idle = "2h"
[egress]
allow_private = ["10.0.0.0/8"]
resolver = ["192.0.2.53:53"]
prefer = "ipv4"
[log]
level = "debug"
format = "squid"
access = "/var/log/sluice/access.log"
interim = "5m"
refusals = "7/m"
`

// What a file says goes through the whole of the configuration and comes out again, so
// that no new key can be forgotten on the way.
func TestEveryKeyIsInForceAsItIsWritten(t *testing.T) {
	var written, defaults file
	var fs strict.Findings
	if err := strict.Decode(everything, &written, &fs); err != nil || !fs.Empty() {
		t.Fatal(err, fs.Locate("all.toml", everything))
	}
	if err := strict.Decode("[[listener]]\n[[rule]]\n[[user]]\n", &defaults, &strict.Findings{}); err != nil {
		t.Fatal(err)
	}
	differs(t, "", reflect.ValueOf(written), reflect.ValueOf(defaults))
	c, err := Parse("all.toml", []byte(everything), Flags{}, shipped())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(written, c.file()); d != "" {
		t.Errorf("written (-) is not in force (+):\n%s", d)
	}
}

// differs makes sure that each key of a file has another value than its default.
func differs(t *testing.T, table string, v, without reflect.Value) {
	for i := range v.NumField() {
		f, key := v.Field(i), v.Type().Field(i).Tag.Get("toml")
		switch {
		case f.Kind() == reflect.Struct:
			differs(t, key, f, without.Field(i))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct && f.Type() != reflect.TypeFor[sections.Ports]():
			differs(t, key, f.Index(0), without.Field(i).Index(0))
		case reflect.DeepEqual(f.Interface(), without.Field(i).Interface()):
			t.Errorf("the text does not set %s.%s, or to its default", table, key)
		}
	}
}

func inForce(t *testing.T, c *Config) (m map[string]any) {
	t.Helper()
	text := c.AppendJSON(nil)
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

func TestWhatIsInForceIsToldByTheKeysAndInTheSpellingOfTheFile(t *testing.T) {
	c, err := Parse("all.toml", []byte(everything), Flags{}, shipped())
	if err != nil {
		t.Fatal(err)
	}
	got := inForce(t, c)
	told(t, "", reflect.TypeFor[file](), got)
	want := map[string]any{
		"limits":   map[string]any{"download": "20MB/s", "upload": "30MB/s", "burst": "2MiB", "handshakes": 100.0, "tunnels": 200.0, "new_tunnels": "30/m"},
		"timeouts": map[string]any{"handshake": "1s", "dial": "2.5s", "idle": "2h"},
		"user":     []any{map[string]any{"name": "ann", "password": "***"}},
		"egress":   map[string]any{"allow_private": []any{"10.0.0.0/8"}, "resolver": []any{"192.0.2.53:53"}, "prefer": "ipv4"},
	}
	for key, w := range want {
		if d := cmp.Diff(w, got[key]); d != "" {
			t.Errorf("%s:\n%s", key, d)
		}
	}
	rule := got["rule"].([]any)[0].(map[string]any)
	if d := cmp.Diff([]any{443.0, "8000-8099"}, rule["ports"]); d != "" {
		t.Error(d)
	}
}

// told makes sure that each key of a type of file.go is told, and nothing else.
func told(t *testing.T, table string, typ reflect.Type, got map[string]any) {
	keys := make([]string, 0, typ.NumField())
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := f.Tag.Get("toml")
		keys = append(keys, key)
		switch v := got[key].(type) {
		case nil:
			t.Errorf("%s.%s is not told", table, key)
		case map[string]any:
			told(t, key, f.Type, v)
		case []any:
			if one, ok := v[0].(map[string]any); ok {
				told(t, key, f.Type.Elem(), one)
			}
		}
	}
	for key := range got {
		if !slices.Contains(keys, key) {
			t.Errorf("%s has no key %s", table, key)
		}
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	c, err := Parse("f.toml", []byte("[[rule]]\nname=\"a\"\naction=\"allow\"\nclients=[\"192.0.2.1\"]\n[[rule]]\nname=\"d\"\naction=\"deny\"\n[limits]\ndownload=\"5MB/s\"\n"), Flags{}, shipped())
	if err != nil {
		t.Fatal(err)
	}
	got := inForce(t, c)
	want := []any{
		map[string]any{"name": "a", "action": "allow", "mode": "enforce", "clients": []any{"192.0.2.1"}, "ports": []any{80.0, 443.0}, "download": "5MB/s", "upload": "unlimited"},
		map[string]any{"name": "d", "action": "deny", "mode": "enforce", "ports": []any{80.0, 443.0}},
	}
	if d := cmp.Diff(want, got["rule"]); d != "" {
		t.Error(d)
	}
	if got["admin"].(map[string]any)["address"] != "127.0.0.1:9128" || got["egress"].(map[string]any)["resolver"] != "system" ||
		got["log"].(map[string]any)["interim"] != "0s" || len(got["listener"].([]any)) != 2 {
		t.Errorf("got %v", got)
	}
}

// A list of a million names is no way to have an answer of megabytes made.
func TestALongListIsShortened(t *testing.T) {
	var text strings.Builder
	for rule := range 60 {
		fmt.Fprintf(&text, "[[rule]]\nname=\"r%d\"\naction=\"allow\"\nclients=[\"192.0.2.1\"]\nto=[", rule)
		for i := range 1500 {
			fmt.Fprintf(&text, "\"host%d.example.com\",", i)
		}
		text.WriteString("]\n")
	}
	c, err := Parse("f.toml", []byte(text.String()), Flags{}, shipped())
	if err != nil {
		t.Fatal(err)
	}
	got := inForce(t, c)
	items := 0
	for i, r := range got["rule"].([]any) {
		r := r.(map[string]any)
		n, _ := r["to"].([]any)
		items += len(n)
		if float64(len(n))+r["to_left_out"].(float64) != 1500 || i == 0 && len(n) != 1000 || i == 59 && len(n) != 0 {
			t.Errorf("rule %d: %d told, %v left out", i, len(n), r["to_left_out"])
		}
	}
	if items > 50_000 {
		t.Errorf("%d items", items)
	}
}

func TestSpellingsOfFrequenciesAndDurationsAreReadBack(t *testing.T) {
	for _, s := range []string{"1/m", "7/m", "59/m", "90/m", "1/s", "200/s", "1000000/s"} {
		f, err := strict.ParseFrequency(s)
		if again, err2 := strict.ParseFrequency(f.String()); err != nil || err2 != nil || again != f {
			t.Errorf("%s becomes %s", s, f)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 24 * time.Hour: "24h",
		time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms", 10 * time.Minute: "10m", 20 * time.Second: "20s",
	} {
		if got := sections.DurationText(d); got != want {
			t.Errorf("%v is %s", d, got)
		}
	}
}
