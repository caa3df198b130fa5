package strict

import "strings"

// Nearest returns the one of the known words that is most likely meant by word,
// or "" when none is near: by letters left out, added, changed or swapped with
// the next one, capitals not counting; failing that, by its beginning.
func Nearest(word string, known []string) string {
	const longest = 64 // nothing known is longer, and the cost is quadratic
	if len(word) > longest {
		return ""
	}
	best, least := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	for _, k := range known {
		if best == "" && len(word) > 2 && strings.HasPrefix(k, strings.ToLower(word)) {
			best = k
		}
	}
	return best
}

// distance is that of Damerau and Levenshtein in its restricted form (optimal
// string alignment), over bytes.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
