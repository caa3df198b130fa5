package config

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

var durationPart = regexp.MustCompile(`^([0-9]*)(?:\.([0-9]*))?(ns|us|\x{b5}s|\x{3bc}s|ms|s|m|h)`)

// exactly reads a duration without rounding; false is what has none.
func exactly(s string) (*big.Rat, bool) {
	units := map[string]time.Duration{
		"ns": 1, "us": time.Microsecond, "\u00b5s": time.Microsecond, "\u03bcs": time.Microsecond,
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	}
	sum := new(big.Rat)
	if s == "0" {
		return sum, true
	}
	for first := true; s != "" || first; first = false {
		m := durationPart.FindStringSubmatch(s)
		if m == nil || m[1] == "" && m[2] == "" {
			return nil, false
		}
		s = s[len(m[0]):]
		n, ok := new(big.Rat).SetString("0" + m[1] + "." + m[2] + "0")
		if !ok {
			return nil, false
		}
		sum.Add(sum, n.Mul(n, new(big.Rat).SetInt64(int64(units[m[3]]))))
	}
	return sum, true
}

// A timeout is taken just when it is within its bounds, and for what it says.
func FuzzTimeout(f *testing.F) {
	for _, s := range []string{"15m", "1h30m", "250ms", "168h", "168h1ns", "999ms", "1s", "0.9999999999s", "-5m", "+5m", "1e3s", "5", "", "5 m", "1d", ".5h", "9223372036854775807ns", "\u0665s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\"\\") || !printable(s) || strings.HasPrefix(s, "+") {
			return // the file would need another spelling; and Go takes one sign
		}
		c, err := Parse("fuzz.toml", fmt.Appendf(nil, "[timeouts]\nidle = \"%s\"\n", s), Flags{}, shipped())
		want, ok := exactly(s)
		if err != nil {
			if ok && want.Cmp(big.NewRat(int64(time.Second), 1)) > 0 && want.Cmp(big.NewRat(int64(168*time.Hour), 1)) < 0 {
				t.Fatalf("%q, which is %s ns, is refused: %v", s, want.FloatString(3), err)
			}
			return
		}
		if !ok {
			t.Fatalf("%q is taken for %v", s, c.Timeouts.Idle)
		}
		// Each part of it is brought to a whole nanosecond, in floating point.
		diff := new(big.Rat).Sub(want, new(big.Rat).SetInt64(int64(c.Timeouts.Idle)))
		if diff.Abs(diff).Cmp(new(big.Rat).SetInt64(int64(len(s)))) > 0 || c.Timeouts.Idle < time.Second || c.Timeouts.Idle > 168*time.Hour {
			t.Fatalf("%q is taken for %v", s, c.Timeouts.Idle)
		}
	})
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return false
		}
	}
	return true
}
