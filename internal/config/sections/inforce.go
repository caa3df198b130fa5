package sections

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sluice/acl"
)

const (
	mostShown = 1000   // items of one list
	mostItems = 50_000 // of all lists together
)

// AppendJSON appends a file, a struct as package strict decodes it, as a JSON object:
// keys and values as they are written, those whose tag says that they are secret masked.
// A key without a default that nothing was written for is left out. Of a list of more
// than a thousand items, or behind tens of thousands of others, the first are written,
// and under the list's key with "_left_out" how many are not.
func AppendJSON(b []byte, file any) []byte {
	w := valueWriter{b, mostItems}
	w.value(reflect.ValueOf(file), "")
	return w.b
}

// valueWriter writes values of the types of a file as JSON.
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
		w.text(DurationText(v))
	case acl.PortRange:
		if v.First == v.Last {
			w.b = strconv.AppendInt(w.b, int64(v.First), 10)
		} else {
			w.text(v.String())
		}
	case Resolver:
		if len(v) == 0 {
			w.text("system")
		} else {
			w.items(reflect.ValueOf(v))
		}
	case fmt.Stringer:
		w.text(v.String())
	default:
		w.composite(reflect.ValueOf(v))
	}
}

// DurationText returns a duration without the zeros that the library writes behind hours
// and minutes.
func DurationText(d time.Duration) string {
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

// Table returns the rule as it is written, with the ports that it has by default.
func (r Rule) Table() RuleTable {
	t := RuleTable{
		Name: r.Name, Action: r.Action.String(), Mode: r.Mode.String(),
		Clients: r.Clients, Users: r.Users, To: r.To, Ports: r.Ports,
		Download: r.Download, Upload: r.Upload,
	}
	if len(t.Ports) == 0 {
		t.Ports = acl.DefaultPorts()
	}
	return t
}
