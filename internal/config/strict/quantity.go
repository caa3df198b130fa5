package strict

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is a speed in bytes per second.
type Rate int64

const (
	Unset     Rate = 0             // not given: that of the limits
	Unlimited Rate = math.MaxInt64 // no limit
)

// String returns the rate as the file spells it, such as "50MB/s". ParseRate
// reads it back as the same rate, unless it is Unset.
func (r Rate) String() string {
	switch r {
	case Unset:
		return "unset"
	case Unlimited:
		return "unlimited"
	}
	return Size(r).String() + "/s"
}

// ParseRate reads "unlimited" or a size followed by "/s". A rate of nothing is
// an error.
func ParseRate(s string) (Rate, error) {
	if s == "unlimited" {
		return Unlimited, nil
	}
	text, ok := strings.CutSuffix(s, "/s")
	if !ok {
		if _, err := ParseSize(s); err == nil {
			return Unset, Faultf("write "+strconv.Quote(s+"/s"), "%q is a size, not a rate", s)
		}
		return Unset, Faultf(rateFix(s), "%q is not a rate", s)
	}
	n, wrong := parseSize(text)
	switch wrong {
	case "":
		return Rate(n), nil
	case tooLarge:
		return Unset, Faultf(`write a smaller one, or "unlimited"`, "%q %s", s, wrong)
	case notASize:
		wrong = "is not a rate"
	}
	return Unset, Faultf(rateFix(s), "%q %s", s, wrong)
}

// ParseSize reads a number of bytes: a positive decimal number, perhaps one
// blank, and one of the units B, kB, MB, GB (powers of 1000), KiB, MiB and GiB
// (powers of 1024), in just this spelling. Fractions of a byte are cut off.
func ParseSize(s string) (int64, error) {
	n, wrong := parseSize(s)
	if wrong != "" {
		fix := `write a number and a unit (B, kB, MB, GB, KiB, MiB, GiB), such as "1MB"`
		if wrong == tooLarge {
			fix = "write a smaller one"
		} else if unit, rest := respelled(s); unit != "" {
			fix = "write " + strconv.Quote(rest+unit)
		}
		return 0, Faultf(fix, "%q %s", s, wrong)
	}
	return n, nil
}

type unit struct {
	name  string
	bytes int64
}

// units are in falling order.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6},
		{"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

// What can be wrong with a size.
const (
	notASize = "is not a size"
	zero     = "is zero"
	tooLarge = "is too large"
)

// parseSize returns a positive number of bytes, or what is wrong.
func parseSize(s string) (n int64, wrong string) {
	number, name := splitUnit(s)
	for _, u := range units() {
		if u.name == name {
			return scale(number, u.bytes)
		}
	}
	return 0, notASize
}

// splitUnit cuts a text behind its number, taking away one blank there.
func splitUnit(s string) (number, name string) {
	n := len(s) - len(strings.TrimLeft(s, "0123456789."))
	return s[:n], strings.TrimPrefix(s[n:], " ")
}

// scale multiplies exactly, in integers. Nine digits after the point keep the
// product within 63 bits.
func scale(number string, by int64) (n int64, wrong string) {
	whole, part, point := strings.Cut(number, ".")
	if !isDigits(whole) || point && (!isDigits(part) || len(part) > 9) {
		return 0, notASize
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > (math.MaxInt64-by)/by {
		return 0, tooLarge
	}
	n *= by
	if point {
		p, _ := strconv.ParseInt(part, 10, 64)
		n += p * by / int64(math.Pow10(len(part)))
	}
	if n == 0 {
		return 0, zero
	}
	return n, ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// respelled finds the unit that was meant by one in other letters.
func respelled(s string) (name, number string) {
	number, name = splitUnit(s)
	if _, wrong := scale(number, 1); wrong != "" {
		return "", ""
	}
	for _, u := range units() {
		short := strings.TrimSuffix(u.name, "B")
		if strings.EqualFold(name, u.name) || short != "" && strings.EqualFold(name, short) {
			return u.name, number
		}
	}
	return "", ""
}

// rateFix says what to write instead of a rate that cannot be read.
func rateFix(s string) string {
	text := s
	for _, per := range []string{"/s", "/sec", "ps", "p/s"} {
		text = strings.TrimSuffix(text, per)
	}
	number, name := splitUnit(text)
	if strings.HasSuffix(name, "bit") || strings.HasSuffix(name, "b") {
		return `rates are in bytes: 8 megabits per second are "1MB/s"`
	}
	if _, wrong := parseSize(text); wrong == "" {
		return "write " + strconv.Quote(text+"/s")
	}
	if unit, _ := respelled(text); unit != "" {
		return "write " + strconv.Quote(number+unit+"/s")
	}
	return `write a size for each second, such as "50MB/s", or "unlimited"`
}

// Size is a number of bytes.
type Size int64

// String returns the size with the largest unit that divides it.
func (n Size) String() string {
	for _, u := range units() {
		if int64(n)%u.bytes == 0 {
			return strconv.FormatInt(int64(n)/u.bytes, 10) + u.name
		}
	}
	return "" // not reached: every number is a multiple of one
}

// Frequency is a number of events per second.
type Frequency float64

// ParseFrequency reads a whole number of events followed by "/s" or "/m".
func ParseFrequency(s string) (Frequency, error) {
	bad := Faultf(`write a whole number for each second or minute, such as "200/s" or "30/m"`, "%q is not a frequency", s)
	per := Frequency(1)
	text, ok := strings.CutSuffix(s, "/s")
	if !ok {
		if text, ok = strings.CutSuffix(s, "/m"); !ok {
			return 0, bad
		}
		per = 60
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || !isDigits(text) {
		return 0, bad
	}
	return Frequency(n) / per, nil
}

// String returns the frequency as the file spells it.
func (f Frequency) String() string {
	if n := math.Round(float64(f)); float64(f) == n {
		return strconv.FormatInt(int64(n), 10) + "/s"
	}
	return strconv.FormatInt(int64(math.Round(float64(f)*60)), 10) + "/m"
}

// ParseDuration is that of package time, with an error that says what to write.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, Faultf(`write numbers with h, m, s or ms, such as "10s", "1h30m" or "24h"`, "%q is not a duration", s)
	}
	return d, nil
}
