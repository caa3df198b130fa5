package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Table returns the results as one table in Markdown, ratios first.
func (r *Results) Table() string {
	var b strings.Builder
	b.WriteString("| Work | Ratio | to reach | reached |")
	for _, s := range r.Subjects {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString("\n| --- | --- | --- | --- |" + strings.Repeat(" --- |", len(r.Subjects)) + "\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| **%s** | | | |%s\n", cell(row.Title), strings.Repeat(" |", len(r.Subjects)))
		for _, l := range row.Lines {
			r.line(&b, l)
		}
	}
	return b.String()
}

// line writes a line of the table for the first goal with all figures, and one
// for each further goal.
func (r *Results) line(b *strings.Builder, l Line) {
	fmt.Fprintf(b, "| %s%s |%s", cell(l.Work), unit(l.Unit), goal(l.Goals, 0))
	for _, s := range r.Subjects {
		fmt.Fprintf(b, " %s |", l.figure(s))
	}
	b.WriteString("\n")
	for i := 1; i < len(l.Goals); i++ {
		fmt.Fprintf(b, "| |%s%s\n", goal(l.Goals, i), strings.Repeat(" |", len(r.Subjects)))
	}
}

func goal(goals []Goal, i int) string {
	if i >= len(goals) {
		return " | | |"
	}
	g := goals[i]
	ratio := fmt.Sprintf(" **%s** of %s%s |", Number(Median(g.Ratios)), cell(g.Against), spread(g.Ratios))
	if g.AtMost == 0 {
		return ratio + " | |"
	}
	sign, reached := "≤", "no"
	if g.Below {
		sign = "<"
	}
	if g.Reached() {
		reached = "yes"
	}
	return fmt.Sprintf("%s %s %s | %s |", ratio, sign, Number(g.AtMost), reached)
}

func (l Line) figure(subject string) string {
	values := l.Figures[subject]
	if len(values) == 0 {
		if why := l.Absent[subject]; why != "" {
			return "-: " + cell(why)
		}
		return ""
	}
	return Number(Median(values)) + spread(values)
}

// spread is the least and the greatest of values, where they differ.
func spread(values []float64) string {
	if len(values) < 2 {
		return ""
	}
	low, high := Number(slices.Min(values)), Number(slices.Max(values))
	if low == high {
		return ""
	}
	return " (" + low + "–" + high + ")"
}

func unit(u string) string {
	if u == "" {
		return ""
	}
	return ", " + u
}

// cell keeps text from ending its cell or its line.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}

// Number writes a figure with three digits that count.
func Number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "?"
	}
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, min(digits, 4)), 64)
}

// Far tells of the rounds that are far from their median, line by line.
func (r *Results) Far() []string {
	var all []string
	for _, row := range r.Rows {
		for _, l := range row.Lines {
			var far []string
			for _, s := range r.Subjects {
				values := l.Figures[s]
				for _, i := range Outliers(values) {
					far = append(far, fmt.Sprintf("%s %s instead of %s (round %d)", s, Number(values[i]), Number(Median(values)), i+1))
				}
			}
			if far != nil {
				all = append(all, fmt.Sprintf("%s, %s%s: %s", row.Title, l.Work, unit(l.Unit), strings.Join(far, ", ")))
			}
		}
	}
	return all
}
