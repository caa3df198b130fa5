package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Panel is one chart of horizontal bars.
type Panel struct {
	Title string // with the unit
	Bars  []Bar
}

// Bar is one subject's figure.
type Bar struct {
	Name  string
	Value float64
	Own   bool // ours: stands out
}

// PanelOf shows the medians of a line, the least first. The first subject is
// ours.
func (r *Results) PanelOf(title string, l *Line) Panel {
	p := Panel{Title: title}
	for i, s := range r.Subjects {
		if values := l.Figures[s]; len(values) > 0 {
			p.Bars = append(p.Bars, Bar{Name: s, Value: Median(values), Own: i == 0})
		}
	}
	slices.SortStableFunc(p.Bars, func(a, b Bar) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	return p
}

// Measures of the plot, in pixels.
const (
	panelWidth = 400
	nameWidth  = 92
	barWidth   = 240 // of the longest
	barHeight  = 16
	barStep    = 24
	titleSpace = 40
	margin     = 12
)

// style leaves the background to the page, and turns the colours with it. What
// knows no colour scheme gets the light one, in greys that a dark page shows too.
const style = `
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600 }
.own { font-weight: 600; fill: #0969da }
rect { fill: #8c959f }
rect.own { fill: #0969da }
@media (prefers-color-scheme: dark) {
 text { fill: #9ea7b3 }
 rect { fill: #6e7681 }
 .own, rect.own { fill: #4493f8 }
}`

// Plot draws panels side by side, as SVG.
func Plot(panels ...Panel) string {
	rows := 0
	for _, p := range panels {
		rows = max(rows, len(p.Bars))
	}
	width, height := panelWidth*len(panels), titleSpace+rows*barStep+margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%d" role="img">`+"\n", width, height, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s\n</style>\n", html.EscapeString(describe(panels)), style)
	for i, p := range panels {
		p.draw(&b, i*panelWidth)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p Panel) draw(b *strings.Builder, x int) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="22">%s</text>`+"\n", x+margin, html.EscapeString(p.Title))
	longest := 0.0
	for _, bar := range p.Bars {
		longest = max(longest, bar.Value)
	}
	for i, bar := range p.Bars {
		y, class := titleSpace+i*barStep, ""
		if bar.Own {
			class = ` class="own"`
		}
		width := 0.0
		if longest > 0 {
			width = bar.Value / longest * barWidth
		}
		left := x + margin + nameWidth
		fmt.Fprintf(b, `<text%s x="%d" y="%d" text-anchor="end">%s</text>`, class, left-8, y+13, html.EscapeString(bar.Name))
		fmt.Fprintf(b, `<rect%s x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, left, y, max(width, 1), barHeight)
		fmt.Fprintf(b, `<text%s x="%.1f" y="%d">%s</text>`+"\n", class, float64(left)+max(width, 1)+6, y+13, Number(bar.Value))
	}
}

// describe is the plot in words, for those who do not see it.
func describe(panels []Panel) string {
	var parts []string
	for _, p := range panels {
		var bars []string
		for _, bar := range p.Bars {
			bars = append(bars, bar.Name+" "+Number(bar.Value))
		}
		parts = append(parts, p.Title+": "+strings.Join(bars, ", "))
	}
	return strings.Join(parts, ". ")
}
