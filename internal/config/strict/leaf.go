package strict

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// leaf reads one value into dst, which points to a field of the struct, and checks
// what its tag asks for. A value that is wrong leaves dst as it is.
func (d Decoder) leaf(at Where, raw, dst any, tag reflect.StructTag) {
	var f *Fault
	switch dst := dst.(type) {
	case *bool:
		f = readBool(raw, dst)
	case *int:
		f = readInt(raw, dst, tag)
	case *string:
		f = readWord(raw, dst, tag)
	case *Rate:
		f = ReadQuantity(raw, dst, tag, ParseRate)
	case *Size:
		f = ReadQuantity(raw, dst, tag, func(s string) (Size, error) { n, err := ParseSize(s); return Size(n), err })
	case *Frequency:
		f = ReadQuantity(raw, dst, tag, ParseFrequency)
	case *time.Duration:
		f = ReadQuantity(raw, dst, tag, ParseDuration)
	case *[]string:
		*dst = d.Texts(at, raw, tag)
	case Value:
		dst.ReadTOML(d, at, raw, tag)
	default:
		panic(fmt.Sprintf("no reader for %T", dst)) // a mistake in the struct, met by every test
	}
	if f != nil {
		d.Add(at, f)
	}
}

func readBool(raw any, dst *bool) *Fault {
	v, ok := raw.(bool)
	if !ok {
		return Faultf("write true or false, without quotes", "%s is not a boolean", Show(raw))
	}
	*dst = v
	return nil
}

func readInt(raw any, dst *int, tag reflect.StructTag) *Fault {
	least, _ := strconv.Atoi(tag.Get("min"))
	most, _ := strconv.Atoi(tag.Get("max"))
	n, ok := raw.(int64)
	if !ok {
		return Faultf(fmt.Sprintf("write a whole number from %d to %d, without quotes", least, most), "%s is not a whole number", Show(raw))
	}
	if n < int64(least) || n > int64(most) {
		return Faultf(fmt.Sprintf("write a number from %d to %d", least, most), "%d is out of bounds", n)
	}
	*dst = int(n)
	return nil
}

// readWord reads text, one of the tag's words if it has any.
func readWord(raw any, dst *string, tag reflect.StructTag) *Fault {
	s, ok := raw.(string)
	if !ok {
		what := Show(raw)
		if tag.Get("secret") != "" {
			what = "the value"
		}
		return Faultf("write text in quotes", "%s is not text", what)
	}
	*dst = s
	if words := tag.Get("oneof"); words != "" {
		return OneOf(s, tag.Get("toml"), strings.Fields(words))
	}
	return nil
}

// OneOf finds fault with a word that is not among those allowed.
func OneOf(word, what string, words []string) *Fault {
	for _, w := range words {
		if w == word {
			return nil
		}
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = strconv.Quote(w)
	}
	last := len(list) - 1
	return Faultf(fmt.Sprintf("write %s or %s", strings.Join(list[:last], ", "), list[last]), "%s cannot be %q", what, word)
}

// ReadQuantity reads text such as "50MB/s" within the tag's bounds.
func ReadQuantity[T cmp.Ordered](raw any, dst *T, tag reflect.StructTag, parse func(string) (T, error)) *Fault {
	example := cmp.Or(tag.Get("example"), tag.Get("default"))
	s, ok := raw.(string)
	if !ok {
		return Faultf(fmt.Sprintf("write text such as %q", example), "%s has no unit", Show(raw))
	}
	v, err := parse(s)
	if f, ok := err.(*Fault); ok {
		return f
	}
	least, _ := parse(tag.Get("min"))
	most, _ := parse(tag.Get("max"))
	if unlimited, ok := any(v).(Rate); ok && unlimited == Unlimited {
		most = v
	}
	if v < least || v > most {
		return Faultf(fmt.Sprintf("write a value from %q to %q", tag.Get("min"), tag.Get("max")), "%q is out of bounds", s)
	}
	*dst = v
	return nil
}

// Array checks for an array and returns it. where an empty one would mean "all"
// or "none" depending on the reader, it is refused.
func (d Decoder) Array(at Where, raw any, tag reflect.StructTag) []any {
	list, ok := raw.([]any)
	switch {
	case !ok && isTable(raw):
		d.Addf(at, "write a list in brackets", "%s is not a list", Show(raw))
	case !ok:
		d.Addf(at, fmt.Sprintf("write it in brackets: %s = [%s]", tag.Get("toml"), Show(raw)), "%s is not a list", Show(raw))
	case len(list) == 0 && tag.Get("list") == "nonempty":
		d.Addf(at, "leave the key out if there is nothing to restrict", "the list is empty")
	}
	return list
}

// Texts reads an array of texts. A wrong one leaves "", so that indexes stay
// those of the file.
func (d Decoder) Texts(at Where, raw any, tag reflect.StructTag) []string {
	list := d.Array(at, raw, tag)
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		switch {
		case !ok:
			d.Addf(at.Sub(i), fmt.Sprintf("write text in quotes, such as %q", tag.Get("example")), "%s is not text", Show(v))
		case s == "":
			d.Addf(at.Sub(i), "take it out", "the text is empty")
		}
		out[i] = s
	}
	return out
}

// Show is a value as a TOML file has it, shortened.
func Show(v any) string {
	const most = 40
	var s string
	switch v := v.(type) {
	case string:
		s = strconv.Quote(v)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	case float64:
		if s = fmt.Sprint(v); isDigits(strings.TrimPrefix(s, "-")) {
			s += ".0"
		}
	default:
		s = fmt.Sprint(v)
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

// TagOf returns the tag of a field of a struct that is decoded.
func TagOf[T any](field string) reflect.StructTag {
	f, _ := reflect.TypeFor[T]().FieldByName(field)
	return f.Tag
}

// Choice finds the value whose String is text; the texts were checked before.
func Choice[T fmt.Stringer](text string, values ...T) T {
	for _, v := range values {
		if v.String() == text {
			return v
		}
	}
	return values[0]
}
