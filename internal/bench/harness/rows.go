package harness

import (
	"fmt"
	"strings"
)

// Row is one kind of work.
type Row interface {
	Name() string // that -row takes
}

// Names are those of rows, in their order.
func Names[R Row](rows []R) []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.Name())
	}
	return list
}

// Choose returns the rows of a list of names with commas between, in the list's order;
// all if it is empty.
func Choose[R Row](rows []R, list string) ([]R, error) {
	if list == "" {
		return rows, nil
	}
	var chosen []R
	for name := range strings.SplitSeq(list, ",") {
		before := len(chosen)
		for _, r := range rows {
			if r.Name() == name {
				chosen = append(chosen, r)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no row %q, but %s", name, strings.Join(Names(rows), ", "))
		}
	}
	return chosen, nil
}
