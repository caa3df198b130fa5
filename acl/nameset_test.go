package acl

import (
	"fmt"
	"slices"
	"testing"
)

func TestASetHasItsNamesAndNoOthers(t *testing.T) {
	for _, n := range []int{0, 1, 5, 6, 7, 8, 100, 5000} {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("Host-%d.example", i)
			if i%3 == 0 {
				list[i] = fmt.Sprintf("host-%d.example", i)
			}
		}
		var s nameSet
		want := map[string]bool{}
		for i := range list {
			name := fmt.Sprintf("host-%d.example", i)
			s.add(name, list, i)
			s.add(name, list, -1) // again, and from elsewhere
			want[name] = true
		}
		for i := range 20 { // names that no list has, as those of presets
			name := fmt.Sprintf("preset-%d.example", i)
			s.add(name, list, -1)
			want[name] = true
		}
		if s.len() != len(want) {
			t.Errorf("%d names, want %d", s.len(), len(want))
		}
		for name := range want {
			if !s.has(name) {
				t.Fatalf("of %d names %s is missing", n, name)
			}
		}
		for _, name := range []string{"", "host-1.example.", "host--1.example", fmt.Sprintf("host-%d.example", n), "Host-1.example"} {
			if s.has(name) != want[name] {
				t.Errorf("of %d names it has %q", n, name)
			}
		}
		if all := slices.Collect(s.all()); len(all) != len(want) {
			t.Errorf("it yields %d names, want %d", len(all), len(want))
		}
	}
	var empty nameSet
	if empty.has("") || empty.has("a.example") || empty.len() != 0 {
		t.Error("the empty set has a name")
	}
}
