package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// object is a JSON object whose members keep their order, and whose values stay as
// they are written.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// editJSON sets members of objects, and leaves everything else as it is, but for
// the white space when something has to be changed.
func editJSON(text []byte, settings []Setting) ([]byte, error) {
	body, marked := bytes.CutPrefix(text, []byte(byteOrderMark))
	if marked {
		return nil, errors.New("it begins with a byte order mark, which no JSON does: take it away")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	root, err := readObject(body)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, s := range settings {
		path := strings.Split(s.Name, ".")
		value, err := root.next(s, path)
		if err != nil {
			return nil, err
		}
		if root, err = root.set(path, value, &changed); err != nil {
			return nil, err
		}
	}
	if !changed {
		return text, nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, root.encode(), "", indentation(text)); err != nil {
		return nil, err
	}
	if len(text) == 0 || bytes.HasSuffix(text, []byte("\n")) {
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

// next is the value that a setting will have, with what is kept of the one at its path.
func (o object) next(s Setting, path []string) (json.RawMessage, error) {
	if s.List == nil {
		one := []Setting{s}
		var had string
		_ = json.Unmarshal(o.at(path), &had) // what is no string is no list either
		if err := keepEntries(one, s.Name, had); err != nil {
			return nil, err
		}
		return encodeString(one[0].Value), nil
	}
	list := make([]json.RawMessage, len(s.List))
	for i, entry := range s.List {
		list[i] = encodeString(entry)
	}
	had, text := []json.RawMessage(nil), o.at(path)
	if err := json.Unmarshal(text, &had); err != nil && text != nil {
		return nil, fmt.Errorf("%q is no list: take it out, or make it one", s.Name)
	}
	for _, entry := range had {
		var word string
		if json.Unmarshal(entry, &word) != nil || !slices.Contains(s.List, word) {
			list = append(list, entry)
		}
	}
	return json.Marshal(list)
}

var firstIndent = regexp.MustCompile(`^\s*\{\r?\n([ \t]+)"`)

func indentation(text []byte) string {
	if m := firstIndent.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return "  "
}

func readObject(text []byte) (object, error) {
	if err := json.Unmarshal(text, new(any)); err != nil {
		return nil, broken(text, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is JSON, but no object in braces")
	}
	var o object
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(t)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		o = append(o, m)
	}
	return o, nil
}

// broken is a fault of the JSON with the line it is on.
func broken(text []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		upTo := text[:min(max(syntax.Offset-1, 0), int64(len(text)))]
		line, column := 1+bytes.Count(upTo, []byte("\n")), len(upTo)-bytes.LastIndexByte(upTo, '\n')
		return fmt.Errorf("it is broken JSON, at line %d, column %d: %s", line, column, strings.TrimPrefix(syntax.Error(), "json: "))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is broken JSON: it ends too early")
	}
	return fmt.Errorf("it is broken JSON: %w", err)
}

// at is the value at a path; nil where there is none.
func (o object) at(path []string) (found json.RawMessage) {
	for _, m := range o {
		if m.name != path[0] {
			continue
		}
		found = nil
		if len(path) == 1 {
			found = m.value
		} else if inner, err := readObject(m.value); err == nil {
			found = inner.at(path[1:])
		}
	}
	return found
}

func (o object) set(path []string, value json.RawMessage, changed *bool) (object, error) {
	at := -1
	for i, m := range o {
		if m.name == path[0] {
			at = i // of two members of one name readers take the last
		}
	}
	var within json.RawMessage
	if len(path) > 1 {
		var inner object
		if at >= 0 && string(o[at].value) != "null" {
			var err error
			if inner, err = readObject(o[at].value); err != nil {
				return nil, fmt.Errorf("%q is no object: take it out, or make it one", path[0])
			}
		}
		before := *changed
		*changed = false
		inner, err := inner.set(path[1:], value, changed)
		if err != nil {
			return nil, err
		}
		if !*changed {
			*changed = before
			return o, nil
		}
		within = inner.encode()
	} else {
		var now, next any
		if at >= 0 && json.Unmarshal(o[at].value, &now) == nil && json.Unmarshal(value, &next) == nil && reflect.DeepEqual(now, next) {
			return o, nil
		}
		*changed = true
		within = value
	}
	if at >= 0 {
		o[at].value = within
		return o, nil
	}
	return append(o, member{name: path[0], value: within}), nil
}

func (o object) encode() []byte {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(encodeString(m.name))
		out.WriteByte(':')
		out.Write(m.value)
	}
	out.WriteByte('}')
	return out.Bytes()
}

// encodeString leaves "&" and its like readable: no page is made of it.
func encodeString(s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // a string always has a JSON form
		return []byte(`""`)
	}
	return bytes.TrimSpace(out.Bytes())
}
