package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// decode reads a text into a file, with defaults for what is not there. What is
// wrong goes to fs; a text that is not TOML at all is the error.
//
// The library parses, but does not fill the struct: it would stop at the first
// wrong type, match keys without regard to capitals, and not tell which of
// several tables of one name has an unknown key.
func decode(text string, fs *findings) (f file, err *Error) {
	raw, err := parse(text)
	if err != nil {
		return file{}, err
	}
	d := decoder{fs}
	d.table(where{}, raw, reflect.ValueOf(&f).Elem())
	return f, nil
}

// parse turns TOML into maps. Its error has no file name.
func parse(text string) (map[string]any, *Error) {
	at := func(offset int, problem, fix string) *Error {
		offset = max(0, min(offset, len(text)))
		p := positionsOf(text, []int{offset})[offset]
		return &Error{Line: p.line, Column: p.column, Problem: problem, Fix: fix}
	}
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, &Error{Problem: "the file is in UTF-16", Fix: "save it as UTF-8"}
	}
	if n := invalidUTF8(text); n >= 0 {
		return nil, at(n, fmt.Sprintf("byte 0x%02x is not UTF-8", text[n]), "save the file as UTF-8")
	}
	if s := scan(text, nil); s.deep >= 0 {
		return nil, at(s.deep, fmt.Sprintf("nested more than %d levels deep", maxDepth), "")
	}
	var raw map[string]any
	_, err := toml.Decode(text, &raw)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		problem := strings.TrimSuffix(syntax.Message, ".")
		if r := []rune(problem); len(r) > 1 && 'A' <= r[0] && r[0] <= 'Z' && 'a' <= r[1] && r[1] <= 'z' {
			problem = strings.ToLower(problem[:1]) + problem[1:]
		}
		offset := max(0, min(syntax.Position.Start, len(text)))
		line := lineAround(text, offset)
		if strings.HasPrefix(line, "password") {
			problem = "the password is not text in quotes" // the library's sentence may repeat it
		}
		return nil, at(offset, problem, syntaxFix(problem, line))
	case err != nil:
		return nil, &Error{Problem: err.Error()}
	}
	return raw, nil
}

func invalidUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

func lineAround(text string, offset int) string {
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return strings.TrimSpace(line)
}

// syntaxFix adds what the library's sentences leave to the reader.
func syntaxFix(problem, line string) string {
	_, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch {
	case strings.Contains(problem, "already been defined"):
		return "write each key and each [table] once"
	case strings.Contains(problem, "already created"):
		return "write [table] if there is one, [[table]] if there may be several"
	case strings.Contains(problem, "cannot contain newlines"):
		return "close the quotes on the same line"
	case strings.Contains(problem, "invalid escape"):
		return `write "\\" for a backslash, or the text in single quotes`
	case strings.HasPrefix(problem, "unexpected EOF"):
		return "close the quotes or brackets that are open, or write the value"
	case strings.HasPrefix(problem, "expected '.' or '='"):
		return "write key = value"
	case value != "" && !strings.ContainsRune("\"'[{+-0123456789", rune(value[0])):
		return `put text in quotes, as in level = "info"`
	}
	return ""
}

type decoder struct{ *findings }

// table fills a struct from a TOML table.
func (d decoder) table(at where, raw map[string]any, dst reflect.Value) {
	t := dst.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key := tag.Get("toml")
		value, given := raw[key]
		d.field(at.sub(key), value, given, dst.Field(i), tag)
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(keysOf(t), key) {
			d.add(at.key(key), unknownKey(at, key, raw[key], t))
		}
	}
}

func (d decoder) field(at where, raw any, given bool, dst reflect.Value, tag reflect.StructTag) {
	key := tag.Get("toml")
	switch {
	case dst.Kind() == reflect.Struct:
		sub, isTable := raw.(map[string]any)
		if given && !isTable {
			d.addf(at, fmt.Sprintf("write [%s] on a line of its own and its keys below", key), "%s is a table", key)
		}
		d.table(at, sub, dst)
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Struct && dst.Type() != reflect.TypeFor[ports]():
		d.tables(at, raw, given, dst)
	case given:
		d.leaf(at, raw, dst.Addr().Interface(), tag)
	case tag.Get("default") != "":
		d.leaf(at, literal(tag.Get("default"), dst.Kind()), dst.Addr().Interface(), tag)
	}
}

// tables fills a slice from [[tables]], or from an array of inline tables.
func (d decoder) tables(at where, raw any, given bool, dst reflect.Value) {
	var list []any
	switch raw := raw.(type) {
	case []map[string]any:
		for _, t := range raw {
			list = append(list, t)
		}
	case []any:
		list = raw
	default:
		if given {
			d.addf(at, fmt.Sprintf("write [[%s]], with two brackets, for each", at.path[0]), "there may be several: %s is an array of tables", at.path[0])
		}
		return
	}
	for i, one := range list {
		if !isTable(one) {
			d.addf(at.sub(i), fmt.Sprintf("write [[%s]] and its keys below", at.path[0]), "%s is not a table", show(one))
			return // with none, so that the rest is not held against what was not read
		}
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i, one := range list {
		t, _ := one.(map[string]any)
		d.table(at.sub(i), t, dst.Index(i))
	}
}

// literal brings the text of a default into the type that TOML gives.
func literal(text string, kind reflect.Kind) any {
	switch kind {
	case reflect.Bool:
		return text == "true"
	case reflect.Int:
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	return text
}

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("toml")
	}
	return keys
}

// unknownKey tells what was meant: a key of the right table if it is one of
// another, or the nearest known one.
func unknownKey(at where, key string, value any, t reflect.Type) *fault {
	f := faultf("", "unknown key %q %s", key, in(at))
	if isTable(value) {
		f.problem = fmt.Sprintf("unknown table [%s]", dotted(at, key))
	}
	if homes := homesOf(key); len(homes) > 0 && !isTable(value) && Nearest(key, keysOf(t)) == "" {
		f.fix = "it belongs " + strings.Join(homes, " or ")
		return f
	}
	if near := Nearest(key, keysOf(t)); near != "" {
		f.fix = fmt.Sprintf("did you mean %s?", spelled(near, t))
		return f
	}
	if len(at.path) == 0 {
		f.fix = "known here are " + strings.Join(tableNames(), ", ")
		return f
	}
	f.fix = "the keys here are " + strings.Join(keysOf(t), ", ")
	return f
}

func isTable(v any) bool {
	switch v.(type) {
	case map[string]any, []map[string]any:
		return true
	}
	return false
}

// in names the table that at leads to.
func in(at where) string {
	switch len(at.path) {
	case 0:
		return "outside of any table"
	case 1:
		return fmt.Sprintf("in [%s]", at.path[0])
	}
	return fmt.Sprintf("in [[%s]]", at.path[0])
}

func dotted(at where, key string) string {
	name := toml.Key{key}
	if len(at.path) > 0 {
		name = toml.Key{fmt.Sprint(at.path[0]), key}
	}
	return name.String()
}

// homesOf lists the tables that have the key.
func homesOf(key string) []string {
	var homes []string
	top := reflect.TypeFor[file]()
	for i := range top.NumField() {
		f := top.Field(i)
		name, t := bracketed(f), f.Type
		if t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Struct && slices.Contains(keysOf(t), key):
			homes = append(homes, "in "+name)
		case t.Kind() != reflect.Struct && name == key:
			homes = append(homes, "before the first table")
		}
	}
	return homes
}

// bracketed spells a top-level key as its table's header.
func bracketed(f reflect.StructField) string {
	name := f.Tag.Get("toml")
	switch f.Type.Kind() {
	case reflect.Struct:
		return "[" + name + "]"
	case reflect.Slice:
		return "[[" + name + "]]"
	}
	return name
}

func tableNames() []string {
	top := reflect.TypeFor[file]()
	names := make([]string, top.NumField())
	for i := range names {
		names[i] = bracketed(top.Field(i))
	}
	return names
}

// spelled is a key in quotes, or a table in brackets.
func spelled(key string, t reflect.Type) string {
	if t == reflect.TypeFor[file]() {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("toml") == key && bracketed(f) != key {
				return bracketed(f)
			}
		}
	}
	return strconv.Quote(key)
}
