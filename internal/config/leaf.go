package config

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sluice/acl"
)

// leaf reads one value into dst, which points to a type of file.go, and checks
// what its tag asks for. A value that is wrong leaves dst as it is.
func (d decoder) leaf(at where, raw, dst any, tag reflect.StructTag) {
	var f *fault
	switch dst := dst.(type) {
	case *bool:
		f = readBool(raw, dst)
	case *int:
		f = readInt(raw, dst, tag)
	case *string:
		f = readWord(raw, dst, tag)
	case *Rate:
		f = readQuantity(raw, dst, tag, ParseRate)
	case *size:
		f = readQuantity(raw, dst, tag, func(s string) (size, error) { n, err := ParseSize(s); return size(n), err })
	case *frequency:
		f = readQuantity(raw, dst, tag, parseFrequency)
	case *time.Duration:
		f = readQuantity(raw, dst, tag, parseDuration)
	case *[]string:
		*dst = d.texts(at, raw, tag)
	case *ports:
		*dst = d.ports(at, raw, tag)
	case *resolver:
		*dst = d.resolver(at, raw, tag)
	default:
		panic(fmt.Sprintf("no reader for %T", dst)) // a mistake in file.go, met by every test
	}
	if f != nil {
		d.add(at, f)
	}
}

func readBool(raw any, dst *bool) *fault {
	v, ok := raw.(bool)
	if !ok {
		return faultf("write true or false, without quotes", "%s is not a boolean", show(raw))
	}
	*dst = v
	return nil
}

func readInt(raw any, dst *int, tag reflect.StructTag) *fault {
	least, _ := strconv.Atoi(tag.Get("min"))
	most, _ := strconv.Atoi(tag.Get("max"))
	n, ok := raw.(int64)
	if !ok {
		return faultf(fmt.Sprintf("write a whole number from %d to %d, without quotes", least, most), "%s is not a whole number", show(raw))
	}
	if n < int64(least) || n > int64(most) {
		return faultf(fmt.Sprintf("write a number from %d to %d", least, most), "%d is out of bounds", n)
	}
	*dst = int(n)
	return nil
}

// readWord reads text, one of the tag's words if it has any.
func readWord(raw any, dst *string, tag reflect.StructTag) *fault {
	s, ok := raw.(string)
	if !ok {
		what := show(raw)
		if tag.Get("secret") != "" {
			what = "the value"
		}
		return faultf("write text in quotes", "%s is not text", what)
	}
	*dst = s
	if words := tag.Get("oneof"); words != "" {
		return oneOf(s, tag.Get("toml"), strings.Fields(words))
	}
	return nil
}

// oneOf finds fault with a word that is not among those allowed.
func oneOf(word, what string, words []string) *fault {
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
	return faultf(fmt.Sprintf("write %s or %s", strings.Join(list[:last], ", "), list[last]), "%s cannot be %q", what, word)
}

// readQuantity reads text such as "50MB/s" within the tag's bounds.
func readQuantity[T cmp.Ordered](raw any, dst *T, tag reflect.StructTag, parse func(string) (T, error)) *fault {
	example := cmp.Or(tag.Get("example"), tag.Get("default"))
	s, ok := raw.(string)
	if !ok {
		return faultf(fmt.Sprintf("write text such as %q", example), "%s has no unit", show(raw))
	}
	v, err := parse(s)
	if f, ok := err.(*fault); ok {
		return f
	}
	least, _ := parse(tag.Get("min"))
	most, _ := parse(tag.Get("max"))
	if unlimited, ok := any(v).(Rate); ok && unlimited == Unlimited {
		most = v
	}
	if v < least || v > most {
		return faultf(fmt.Sprintf("write a value from %q to %q", tag.Get("min"), tag.Get("max")), "%q is out of bounds", s)
	}
	*dst = v
	return nil
}

// array checks for an array and returns it. Where an empty one would mean "all"
// or "none" depending on the reader, it is refused.
func (d decoder) array(at where, raw any, tag reflect.StructTag) []any {
	list, ok := raw.([]any)
	switch {
	case !ok && isTable(raw):
		d.addf(at, "write a list in brackets", "%s is not a list", show(raw))
	case !ok:
		d.addf(at, fmt.Sprintf("write it in brackets: %s = [%s]", tag.Get("toml"), show(raw)), "%s is not a list", show(raw))
	case len(list) == 0 && tag.Get("list") == "nonempty":
		d.addf(at, "leave the key out if there is nothing to restrict", "the list is empty")
	}
	return list
}

// texts reads an array of texts. A wrong one leaves "", so that indexes stay
// those of the file.
func (d decoder) texts(at where, raw any, tag reflect.StructTag) []string {
	list := d.array(at, raw, tag)
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		switch {
		case !ok:
			d.addf(at.sub(i), fmt.Sprintf("write text in quotes, such as %q", tag.Get("example")), "%s is not text", show(v))
		case s == "":
			d.addf(at.sub(i), "take it out", "the text is empty")
		}
		out[i] = s
	}
	return out
}

func (d decoder) ports(at where, raw any, tag reflect.StructTag) ports {
	list := d.array(at, raw, tag)
	out := make(ports, len(list))
	for i, v := range list {
		r, f := readPorts(v)
		if f != nil {
			d.add(at.sub(i), f)
		}
		out[i] = r
	}
	return out
}

// readPorts reads 443, "443" or "8000-8099".
func readPorts(raw any) (acl.PortRange, *fault) {
	text := fmt.Sprint(raw)
	switch raw.(type) {
	case int64, string:
	default:
		text = ""
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, err := acl.ParsePort(first)
	b, err2 := acl.ParsePort(last)
	switch {
	case err != nil || err2 != nil:
		return acl.PortRange{}, faultf(`write a number from 1 to 65535, or a range such as "8000-8099"`, "%s is not a port", show(raw))
	case b < a:
		return acl.PortRange{}, faultf(fmt.Sprintf("write \"%d-%d\"", b, a), "%s runs backwards", show(raw))
	}
	return acl.PortRange{First: a, Last: b}, nil
}

// resolver reads "system" or an array of servers.
func (d decoder) resolver(at where, raw any, tag reflect.StructTag) resolver {
	if s, ok := raw.(string); ok {
		if s != "system" {
			d.addf(at, fmt.Sprintf(`write "system", or the servers as a list: resolver = [%q]`, "192.0.2.53:53"), "%q is neither \"system\" nor a list", s)
		}
		return nil
	}
	list := d.array(at, raw, tag)
	if list != nil && len(list) == 0 {
		d.addf(at, `write "system" for the system's resolver`, "the list of servers is empty")
	}
	return d.texts(at, list, `example:"192.0.2.53:53"`)
}

// show is a value as a TOML file has it, shortened.
func show(v any) string {
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
