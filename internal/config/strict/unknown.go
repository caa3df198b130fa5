package strict

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// unknownKey tells what was meant: a key of the right table if it is one of
// another, or the nearest known one.
func (d Decoder) unknownKey(at Where, key string, value any, t reflect.Type) *Fault {
	f := Faultf("", "unknown key %q %s", key, in(at))
	if isTable(value) {
		f.Problem = fmt.Sprintf("unknown table [%s]", name(at.Sub(key)))
	}
	if homes := homesOf(d.root, Where{}, key); len(homes) > 0 && !isTable(value) && Nearest(key, keysOf(t)) == "" {
		f.Fix = "it belongs " + strings.Join(homes, " or ")
		return f
	}
	if near := Nearest(key, keysOf(t)); near != "" {
		f.Fix = fmt.Sprintf("did you mean %s?", spelled(at, near, t))
		return f
	}
	if len(at.Path) == 0 {
		f.Fix = "known here are " + strings.Join(tableNames(t), ", ")
		return f
	}
	f.Fix = "the keys here are " + strings.Join(keysOf(t), ", ")
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
func in(at Where) string {
	if len(at.Path) == 0 {
		return "outside of any table"
	}
	return "in " + header(at)
}

// name spells the keys of a path with dots.
func name(at Where) string {
	var keys toml.Key
	for _, step := range at.Path {
		if key, ok := step.(string); ok {
			keys = append(keys, key)
		}
	}
	return keys.String()
}

// header spells the line that begins a table.
func header(at Where) string {
	if _, isOne := at.Path[len(at.Path)-1].(int); isOne {
		return "[[" + name(at) + "]]"
	}
	return "[" + name(at) + "]"
}

// homesOf lists the tables that have the key, from one of type t on.
func homesOf(t reflect.Type, at Where, key string) []string {
	var homes []string
	for i := range t.NumField() {
		f := t.Field(i)
		sub := at.Sub(f.Tag.Get("toml"))
		switch {
		case f.Type.Kind() == reflect.Struct:
			homes = append(homes, homesOf(f.Type, sub, key)...)
		case hasTables(f.Type):
			homes = append(homes, homesOf(f.Type.Elem(), sub.Sub(0), key)...)
		case f.Tag.Get("toml") != key:
		case len(at.Path) == 0:
			homes = append(homes, "before the first table")
		default:
			homes = append(homes, in(at))
		}
	}
	return homes
}

// bracketed spells the key of a field; one that is a table as its header.
func bracketed(at Where, f reflect.StructField) string {
	sub := at.Sub(f.Tag.Get("toml"))
	switch {
	case f.Type.Kind() == reflect.Struct:
		return header(sub)
	case hasTables(f.Type):
		return header(sub.Sub(0))
	}
	return f.Tag.Get("toml")
}

func tableNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = bracketed(Where{}, t.Field(i))
	}
	return names
}

// spelled is a key in quotes, or a table in brackets.
func spelled(at Where, key string, t reflect.Type) string {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("toml") == key && bracketed(at, f) != key {
			return bracketed(at, f)
		}
	}
	return strconv.Quote(key)
}
