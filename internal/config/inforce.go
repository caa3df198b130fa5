package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

const (
	mostShown = 1000   // items of one list
	mostItems = 50_000 // of all lists together
)

// AppendJSON appends what is in force as a JSON object, keys and values as in a file,
// with all defaults filled in and passwords masked. A key without a default that
// nothing was written for is left out. Of a list of more than a thousand items, or
// behind tens of thousands of others, the first are written, and under the list's key
// with "_left_out" how many are not.
func (c *Config) AppendJSON(b []byte) []byte {
	w := valueWriter{b, mostItems}
	w.value(reflect.ValueOf(c.file()), "")
	return w.b
}

// file returns the file that the configuration could have been read from, if it said
// everything.
func (c *Config) file() file {
	f := file{
		Open: c.Open, Mode: c.Mode.String(),
		Admin:    fileAdmin{c.Admin},
		Limits:   fileLimits{c.Limits.Download, c.Limits.Upload, strict.Size(c.Limits.Burst), c.Limits.Handshakes, c.Limits.Tunnels, strict.Frequency(c.Limits.NewTunnels)},
		Server:   fileServer{c.Server.MaxHandshakes, c.Server.MaxTunnels, c.Server.Drain, c.Server.Recheck},
		Timeouts: fileTimeouts{c.Timeouts.Handshake, c.Timeouts.Dial, c.Timeouts.Idle},
		Egress:   sections.EgressTable{Prefer: c.Egress.Prefer.String()},
		Log:      fileLog{c.Log.Level, c.Log.Format, c.Log.Access, c.Log.Interim, strict.Frequency(c.Log.Refusals)},
	}
	for _, l := range c.Listeners {
		f.Listener = append(f.Listener, fileListener{l.Address, l.Protocol.String()})
	}
	for _, r := range c.Rules {
		f.Rule = append(f.Rule, c.fileRule(r))
	}
	for _, u := range c.Users {
		f.User = append(f.User, fileUser{u.Name, string(u.Hash)})
	}
	for _, p := range c.Egress.AllowPrivate {
		f.Egress.AllowPrivate = append(f.Egress.AllowPrivate, p.String())
	}
	for _, r := range c.Egress.Resolver {
		f.Egress.Resolver = append(f.Egress.Resolver, r.String())
	}
	return f
}

func (c *Config) fileRule(r Rule) sections.RuleTable {
	f := sections.RuleTable{
		Name: r.Name, Action: r.Action.String(), Mode: r.Mode.String(),
		Clients: r.Clients, Users: r.Users, To: r.To, Ports: r.Ports,
		Download: r.Download, Upload: r.Upload,
	}
	if len(f.Ports) == 0 {
		f.Ports = acl.DefaultPorts()
	}
	if r.Action == acl.Allow {
		f.Download = cmp.Or(f.Download, c.Limits.Download)
		f.Upload = cmp.Or(f.Upload, c.Limits.Upload)
	}
	return f
}

// valueWriter writes values of the types in file.go as JSON.
type valueWriter struct {
	b    []byte
	left int // items that lists may still have
}

func (w *valueWriter) value(v reflect.Value, tag reflect.StructTag) {
	if tag.Get("secret") != "" {
		w.text("***")
		return
	}
	switch v := v.Interface().(type) {
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case int:
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	case string:
		w.text(v)
	case time.Duration:
		w.text(durationText(v))
	case Rate, strict.Size, strict.Frequency:
		w.text(v.(fmt.Stringer).String())
	case acl.PortRange:
		if v.First == v.Last {
			w.b = strconv.AppendInt(w.b, int64(v.First), 10)
		} else {
			w.text(v.String())
		}
	case sections.Resolver:
		if len(v) == 0 {
			w.text("system")
		} else {
			w.items(reflect.ValueOf(v))
		}
	default:
		w.composite(reflect.ValueOf(v))
	}
}

// durationText returns a duration without the zeros that the library writes behind hours
// and minutes.
func durationText(d time.Duration) string {
	s := d.String()
	for _, zero := range []struct{ behind, text string }{{"m", "0s"}, {"h", "0m"}} {
		if cut, ok := strings.CutSuffix(s, zero.text); ok && strings.HasSuffix(cut, zero.behind) {
			s = cut
		}
	}
	return s
}

func (w *valueWriter) composite(v reflect.Value) {
	if v.Kind() == reflect.Slice {
		w.items(v)
		return
	}
	w.b = append(w.b, '{')
	first := true
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		if isOpen(f, tag) {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.text(tag.Get("toml"))
		w.b = append(w.b, ':')
		before := w.left
		w.value(f, tag)
		if f.Kind() == reflect.Slice && f.Len() > min(mostShown, before) {
			w.b = append(w.b, ',')
			w.text(tag.Get("toml") + "_left_out")
			w.b = append(w.b, ':')
			w.b = strconv.AppendInt(w.b, int64(f.Len()-min(mostShown, before)), 10)
		}
	}
	w.b = append(w.b, '}')
}

// isOpen tells whether a key is one without a default that nothing was written for.
// A list that may be empty is not.
func isOpen(v reflect.Value, tag reflect.StructTag) bool {
	switch v.Kind() {
	case reflect.Struct:
		return false
	case reflect.Slice:
		return v.Len() == 0 && tag.Get("list") == "nonempty"
	}
	return v.IsZero() && tag.Get("default") == ""
}

func (w *valueWriter) items(v reflect.Value) {
	w.b = append(w.b, '[')
	n := min(v.Len(), mostShown, w.left)
	w.left -= n
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.value(v.Index(i), "")
	}
	w.b = append(w.b, ']')
}

func (w *valueWriter) text(s string) {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a spelling
		text = []byte(`""`)
	}
	w.b = append(w.b, text...)
}
