package sections

import (
	"fmt"
	"reflect"
	"strings"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// Ports are those of a rule. A wrong one leaves a zero range, so that indexes
// stay those of the file.
type Ports []acl.PortRange

// ReadTOML reads an array of ports and ranges.
func (p *Ports) ReadTOML(d strict.Decoder, at strict.Where, raw any, tag reflect.StructTag) {
	list := d.Array(at, raw, tag)
	out := make(Ports, len(list))
	for i, v := range list {
		r, f := readPorts(v)
		if f != nil {
			d.Add(at.Sub(i), f)
		}
		out[i] = r
	}
	*p = out
}

// readPorts reads 443, "443" or "8000-8099".
func readPorts(raw any) (acl.PortRange, *strict.Fault) {
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
		return acl.PortRange{}, strict.Faultf(`write a number from 1 to 65535, or a range such as "8000-8099"`, "%s is not a port", strict.Show(raw))
	case b < a:
		return acl.PortRange{}, strict.Faultf(fmt.Sprintf("write \"%d-%d\"", b, a), "%s runs backwards", strict.Show(raw))
	}
	return acl.PortRange{First: a, Last: b}, nil
}
