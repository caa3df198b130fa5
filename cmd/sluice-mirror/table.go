package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/internal/mirror/cachectl"
)

// repository is what is cached of one.
type repository struct {
	name     string
	tags     []string
	files    int
	size     int64 // bytes of all that it holds; what several hold counts for each
	lastUsed time.Time
}

// mostTags is how many tags of a repository a table shows.
const mostTags = 5

// noRepository stands for content that no repository is known to hold.
const noRepository = "(of no repository)"

// printRepositories prints a line for each repository, and the sum of all content.
func printRepositories(w io.Writer, items []cachectl.Item) {
	if len(items) == 0 {
		fmt.Fprintln(w, "nothing is cached")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REPOSITORY\tTAGS\tFILES\tSIZE\tLAST USED")
	for _, r := range gather(items) {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", r.name, tagsText(r.tags), r.files, sizeText(r.size), timeText(r.lastUsed))
	}
	table.Flush()
	printSum(w, items)
}

// gather sums items up by repository, what was used last first.
func gather(items []cachectl.Item) []*repository {
	sums := make(map[string]*repository)
	for _, item := range items {
		holders := item.Repositories
		if len(holders) == 0 {
			holders = []string{noRepository}
		}
		for _, name := range holders {
			r := sums[name]
			if r == nil {
				r = &repository{name: name}
				sums[name] = r
			}
			r.files++
			r.size += item.Size
			if item.LastUsed.After(r.lastUsed) {
				r.lastUsed = item.LastUsed
			}
			for _, tag := range item.Tags {
				if rest, ok := strings.CutPrefix(tag, name+":"); ok {
					r.tags = append(r.tags, rest)
				}
			}
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b *repository) int {
		return cmp.Or(b.lastUsed.Compare(a.lastUsed), cmp.Compare(a.name, b.name))
	})
}

func tagsText(tags []string) string {
	slices.Sort(tags)
	switch n := len(tags) - mostTags; {
	case len(tags) == 0:
		return "-"
	case n > 0:
		return strings.Join(tags[:mostTags], ",") + fmt.Sprintf(",+%d", n)
	}
	return strings.Join(tags, ",")
}

// printItems prints a line for each content.
func printItems(w io.Writer, items []cachectl.Item) {
	if len(items) == 0 {
		fmt.Fprintln(w, "nothing of that is cached")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DIGEST\tKIND\tSIZE\tLAST USED\tTAGS")
	for _, i := range items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", i.Digest, i.Kind, sizeText(i.Size), timeText(i.LastUsed), tagsText(slices.Clone(i.Tags)))
	}
	table.Flush()
	printSum(w, items)
}

func printSum(w io.Writer, items []cachectl.Item) {
	var sum int64
	for _, i := range items {
		sum += i.Size
	}
	fmt.Fprintf(w, "%s, %s\n", count(len(items), "file"), sizeText(sum))
}

// timeText is a time of this machine to the minute, or a dash.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// sizeText is a number of bytes with three digits, in powers of ten as the
// configuration has them.
func sizeText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if value /= 1000; value < 999.5 {
			break
		}
	}
	switch {
	case value < 9.995:
		return fmt.Sprintf("%.2f %s", value, unit)
	case value < 99.95:
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}
