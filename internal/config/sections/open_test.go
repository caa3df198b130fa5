package sections

import (
	"net/netip"
	"testing"
)

// neighbours lists n neighbouring networks from first on.
func neighbours(first string, n int) []netip.Prefix {
	p := netip.MustParsePrefix(first)
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = p
		next := lastOf(p).Next()
		p = netip.PrefixFrom(next, p.Bits())
	}
	return list
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

func TestRangesThatTakeInTheWholeInternet(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "0.0.0.0/1": true, "128.0.0.0/1": true, "2000::/3": true, "2a00::/15": true, "8.0.0.0/7": true,
		"126.0.0.0/7": true, // half of it is loopback
		"8.0.0.0/8":   false, "2a00::/16": false, "10.0.0.0/8": false, "192.0.2.1/32": false,
		"224.0.0.0/3": false, "240.0.0.0/4": false, "fc00::/7": false, "fe80::/10": false, "ff00::/8": false, "8000::/1": false, // not public
	} {
		if got := tooWide(netip.MustParsePrefix(text)); got != want {
			t.Errorf("%s is too wide: %v", text, got)
		}
	}
}

func TestManyRangesAreTheWholeInternetTogether(t *testing.T) {
	private := prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "fc00::/8", "fd00::/8")
	tests := []struct {
		name   string
		ranges []netip.Prefix
		want   bool
	}{
		{"none", nil, false},
		{"all that is private", private, false},
		{"one /8", prefixes("8.0.0.0/8"), false},
		{"one /8 thrice, and parts of it", append(prefixes("8.1.0.0/16", "8.0.0.0/8", "8.0.0.0/8"), neighbours("8.0.0.0/9", 2)...), false},
		{"two /8", prefixes("8.0.0.0/8", "20.0.0.0/8"), true},
		{"a /8 in /16s", neighbours("8.0.0.0/16", 256), false},
		{"two /8 in /16s", neighbours("8.0.0.0/16", 512), true},
		{"two /8 less one /24", neighbours("8.0.0.0/24", 2<<16-1), false},
		{"two /8 in /24s", neighbours("8.0.0.0/24", 2<<16), true},
		{"a /16 of IPv6", prefixes("2a00::/16"), false},
		{"two /16 of IPv6", prefixes("2a00::/16", "2600::/16"), true},
		{"thousands of hosts of IPv6", neighbours("2a00::/128", 5000), false},
		{"half of each family", prefixes("8.0.0.0/8", "2a00::/16"), false},
	}
	for _, test := range tests {
		if got := wideTogether(test.ranges); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
