package sections

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"sort"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// A proxy that lets anybody in is found within hours and used by everybody. So
// an allow rule without users, or one in observe mode, may take in the whole Internet
// only if the file says open = true. What counts as the whole Internet: a range shorter than /8
// of IPv4 or /16 of IPv6, unless all of it is non-public; or ranges which
// together, over all such rules, have as many public addresses as that.
const (
	widest4 = 8
	widest6 = 16
	// wide4 and wide6 are the sizes from which ranges are too wide, in addresses
	// of IPv4 and in /64 networks of IPv6.
	wide4 = 1 << (32 - widest4 + 1)
	wide6 = 1 << (64 - widest6 + 1)
)

// checkOpen refuses, or with open = true warns of, rules that let everybody in.
func (rs *Rules) checkOpen() {
	var ranges []netip.Prefix
	ends := make([]int, len(rs.list)) // of each rule's part of ranges
	for i, r := range rs.list {
		if lets := rs.letsIn(r); lets != "" {
			narrow, wide := sortOut(r.Clients)
			if wide >= 0 {
				rs.foundOpen(rs.Part(i, "clients", wide), r.Name, "("+r.Clients[wide]+") ", lets)
			} else {
				ranges = append(ranges, narrow...)
			}
		}
		ends[i] = len(ranges)
	}
	if !wideTogether(ranges) {
		return
	}
	i := sort.Search(len(ends), func(i int) bool { return wideTogether(ranges[:ends[i]]) })
	all := ""
	if i > 0 && ends[i-1] > 0 {
		all = "and those before it together "
	}
	rs.foundOpen(rs.Part(i, "clients"), rs.list[i].Name, all, rs.letsIn(rs.list[i]))
}

// Why the clients of a rule pass without a password.
const (
	byRule = "rule" // it allows
	byMode = "mode" // it is in observe mode
)

// letsIn tells why a rule lets its clients in without a password, or "". In observe
// mode one that denies does, too, and one that asks for users as well.
func (rs *Rules) letsIn(r Rule) string {
	observed := r.Mode == acl.Observe || r.Action == acl.Allow && rs.Mode == acl.Observe
	switch {
	case r.Action == acl.Allow && len(r.Users) == 0:
		return byRule
	case observed && (r.Action == acl.Allow || len(r.Users) == 0):
		return byMode
	}
	return ""
}

// sortOut returns the ranges that are not too wide alone, and the index of the
// first that is, or -1. What is no range at all is reported by compile.
func sortOut(clients []string) (narrow []netip.Prefix, wide int) {
	wide = -1
	for i, s := range clients {
		p, err := acl.ParsePrefix(s)
		switch {
		case err != nil:
		case !tooWide(p):
			narrow = append(narrow, p)
		case wide < 0:
			wide = i
		}
	}
	return narrow, wide
}

func (rs *Rules) foundOpen(at strict.Where, rule, which, lets string) {
	if rs.Open {
		rs.Report.Warnings.Addf(at, "", "the clients of rule %q %stake in the whole Internet: whoever finds this %s can use it", rule, which, rs.Program)
		return
	}
	fix := "name the clients that need it, add users to the rule, or write open = true at the top of the file"
	switch {
	case lets == byMode:
		fix = "name the clients that are to be observed, or write open = true at the top of the file"
	case at.Flag != "":
		fix = "name the clients that need it, or write open = true at the top of a file"
	}
	rs.Report.Errors.Addf(at, fix, "the clients of rule %q %stake in the whole Internet: whoever finds this %s could use it", rule, which, rs.Program)
}

// tooWide tells whether a range is the whole Internet by itself.
func tooWide(p netip.Prefix) bool {
	widest := widest6
	if p.Addr().Is4() {
		widest = widest4
	}
	if p.Bits() >= widest {
		return false
	}
	for b := range blocks(p) {
		if isPublic(b) {
			return true
		}
	}
	return false
}

// wideTogether tells whether the union of the ranges has as many public
// addresses as a range that is too wide alone.
func wideTogether(ranges []netip.Prefix) bool {
	sorted := slices.Clone(ranges)
	// A range stands behind those that hold it.
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var size4, size6 uint64
	var last netip.Prefix
	for _, p := range sorted {
		if last.IsValid() && last.Overlaps(p) {
			continue
		}
		last = p
		if p.Addr().Is4() {
			size4 += publicSize(p)
		} else {
			size6 += publicSize(p)
		}
	}
	return size4 >= wide4 || size6 >= wide6
}

// publicSize counts the public part of a range: addresses of IPv4, /64 networks
// of IPv6. It looks at blocks of /16, and takes one for public unless both its
// ends are not, which is exact enough for the sizes that matter here.
func publicSize(p netip.Prefix) uint64 {
	unit := 64
	if p.Addr().Is4() {
		unit = 32
	}
	var size uint64
	for b := range blocks(p) {
		if b.Bits() <= unit && isPublic(b) {
			size += 1 << (unit - b.Bits())
		}
	}
	return size
}

// blocks yields the /16 networks of a range, or the range itself if it is no
// larger than one.
func blocks(p netip.Prefix) iter.Seq[netip.Prefix] {
	const bits = 16
	return func(yield func(netip.Prefix) bool) {
		if p.Bits() >= bits {
			yield(p)
			return
		}
		b := p.Addr().AsSlice()
		first := int(b[0])<<8 | int(b[1])
		for i := range 1 << (bits - p.Bits()) {
			b[0], b[1] = byte((first+i)>>8), byte(first+i)
			a, _ := netip.AddrFromSlice(b)
			if !yield(netip.PrefixFrom(a, bits)) {
				return
			}
		}
	}
}

// isPublic tells whether either end of a range is globally reachable.
func isPublic(p netip.Prefix) bool {
	_, first := acl.NotPublic(p.Addr())
	_, last := acl.NotPublic(lastOf(p))
	return !first || !last
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
