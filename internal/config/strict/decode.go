// Package strict decodes TOML into tagged structs and says all that is wrong with a
// text at once, each with line, column and what to write instead. Unknown keys are
// errors, with the nearest known one.
//
// A struct is a table. Each of its fields has the tag `toml` with the key, and may
// have these: `default`, in the spelling of the file; `oneof`, the words that are
// allowed; `min` and `max`; `example`, for messages; `list:"nonempty"`, for a list
// that is left out rather than empty; `secret`, for what no message may repeat.
//
// What the keys mean, and which go together, is left to the packages whose files they
// are: they add what they find to the same Findings, which locates all of it.
package strict

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode reads a text into a struct that file points to, with defaults for what is
// not there. What is wrong goes to fs; a text that is not TOML at all is the error,
// which has no file name.
//
// The library parses, but does not fill the struct: it would stop at the first
// wrong type, match keys without regard to capitals, and not tell which of
// several tables of one name has an unknown key.
func Decode(text string, file any, fs *Findings) *Error {
	raw, err := parse(withoutMark(text))
	if err != nil {
		return err
	}
	top := reflect.ValueOf(file).Elem()
	Decoder{fs, top.Type()}.table(Where{}, raw, top)
	return nil
}

// withoutMark takes away the byte order mark that editors on Windows begin a file with.
func withoutMark(text string) string { return strings.TrimPrefix(text, "\ufeff") }

// Value is a type that reads its own values. Its method has a pointer for receiver.
type Value interface {
	// ReadTOML takes what the library made of the text at a place, and leaves what is
	// wrong with d. The tag is that of the field.
	ReadTOML(d Decoder, at Where, raw any, tag reflect.StructTag)
}

// Decoder fills structs, and collects what is wrong.
type Decoder struct {
	*Findings
	root reflect.Type // the file as a whole
}

// table fills a struct from a TOML table.
func (d Decoder) table(at Where, raw map[string]any, dst reflect.Value) {
	t := dst.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key := tag.Get("toml")
		value, given := raw[key]
		d.field(at.Sub(key), value, given, dst.Field(i), tag)
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(keysOf(t), key) {
			d.Add(at.Key(key), d.unknownKey(at, key, raw[key], t))
		}
	}
}

func (d Decoder) field(at Where, raw any, given bool, dst reflect.Value, tag reflect.StructTag) {
	key := tag.Get("toml")
	switch {
	case dst.Kind() == reflect.Struct:
		sub, isTable := raw.(map[string]any)
		if given && !isTable {
			d.Addf(at, fmt.Sprintf("write %s on a line of its own and its keys below", header(at)), "%s is a table", key)
		}
		d.table(at, sub, dst)
	case hasTables(dst.Type()):
		d.tables(at, raw, given, dst)
	case given:
		d.leaf(at, raw, dst.Addr().Interface(), tag)
	case tag.Get("default") != "":
		d.leaf(at, literal(tag.Get("default"), dst.Kind()), dst.Addr().Interface(), tag)
	}
}

// tables fills a slice from [[tables]], or from an array of inline tables.
func (d Decoder) tables(at Where, raw any, given bool, dst reflect.Value) {
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
			d.Addf(at, fmt.Sprintf("write [[%s]], with two brackets, for each", name(at)), "there may be several: %s is an array of tables", name(at))
		}
		return
	}
	for i, one := range list {
		if !isTable(one) {
			d.Addf(at.Sub(i), fmt.Sprintf("write [[%s]] and its keys below", name(at)), "%s is not a table", Show(one))
			return // with none, so that the rest is not held against what was not read
		}
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i, one := range list {
		t, _ := one.(map[string]any)
		d.table(at.Sub(i), t, dst.Index(i))
	}
}

// hasTables tells whether a field of the type is an array of tables.
func hasTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[Value]())
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
