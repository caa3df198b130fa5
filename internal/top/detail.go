package top

import (
	"bytes"
	"encoding/json"
	"strings"

	"sluice/internal/adminclient"
)

// page is text that is scrolled.
type page struct {
	lines []line
	top   int
}

func (p *page) move(n int) { p.top = max(p.top+n, 0) }

// render draws as much as there is room for, from where it was scrolled to.
func (p *page) render(columns, lines int) []line {
	var all []line
	for _, l := range p.lines {
		all = append(all, wrapLine(l, columns)...)
	}
	p.top = max(min(p.top, len(all)-lines), 0)
	return all[p.top:min(p.top+lines, len(all))]
}

// wrapLine breaks a line; what goes on does so under its last piece.
func wrapLine(l line, columns int) []line {
	if width(l.text()) <= columns || len(l) == 0 {
		return []line{l}
	}
	last := l[len(l)-1]
	before := l[:len(l)-1]
	indent := width(before.text())
	if indent > columns/2 {
		indent = 0
		before, last = nil, span{l.text(), last.style}
	}
	var all []line
	for i, text := range wrap(last.text, columns-indent) {
		if i == 0 {
			all = append(all, append(before[:len(before):len(before)], span{text, last.style}))
			continue
		}
		all = append(all, line{{strings.Repeat(" ", indent) + text, last.style}})
	}
	return all
}

// detail is all about one tunnel or one refusal.
type detail struct {
	transaction *adminclient.Transaction
	refusal     bool
	object      json.RawMessage // as it was last seen
	ended       bool
	explanation *adminclient.Explanation
	err         error // why there is no newer object, or no explanation
	page        page
}

func newTunnelDetail(t *adminclient.Transaction) *detail {
	return &detail{transaction: t, object: t.Object}
}

func newRefusalDetail(t *adminclient.Transaction) *detail {
	return &detail{transaction: t, object: t.Object, refusal: true}
}

// again asks for the tunnel anew while it lives.
func (d *detail) again(s *state) *request {
	if d.refusal || d.ended {
		return nil
	}
	if s.tunnels[d.transaction.ID] == nil {
		d.ended = true
		return nil
	}
	return &request{kind: lookUp, id: d.transaction.ID}
}

// explain asks what the rules say; nothing of a request that named no destination.
func (d *detail) explain() *request {
	t := d.transaction
	if destination(t) == "" {
		return nil
	}
	return &request{kind: explain, id: t.ID, client: t.Client, to: destination(t), user: t.User}
}

func (d *detail) take(a answer) {
	d.err = nil
	switch {
	case a.kind == lookUp && a.gone():
		d.ended = true
	case a.err != nil:
		d.err = a.err
	case a.kind == lookUp:
		d.object = a.object
	default:
		d.explanation = &a.explanation
	}
}

func (d *detail) render(columns, lines int) []line {
	d.page.lines = d.lines()
	return d.page.render(columns, lines)
}

func (d *detail) lines() []line {
	var all []line
	switch {
	case d.refusal:
		all = append(all, line{{"refusal", heading}})
	case d.ended:
		all = append(all, line{{"this tunnel has ended; it stood so when it was last seen", bad}})
	default:
		all = append(all, line{{"tunnel", heading}})
	}
	all = append(all, objectLines(d.object)...)
	if d.explanation != nil {
		all = append(all, explanationLines(d.explanation)...)
	}
	if d.err != nil {
		all = append(all, line{{clean(d.err.Error()), bad}})
	}
	return all
}

// objectLines lists a JSON object's members in their order.
func objectLines(object json.RawMessage) []line {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil
	}
	var all []line
	for d.More() {
		name, err := d.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break
		}
		text, _ := name.(string)
		all = append(all, line{{fit(clean(text), 15, false, "") + " ", faint}, {valueText(text, value), normal}})
	}
	return all
}

// valueText is a string without its quotes, and bytes in words as well.
func valueText(name string, value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return clean(text)
	}
	var number float64
	if json.Unmarshal(value, &number) == nil && number >= 1000 {
		switch {
		case strings.HasPrefix(name, "bytes_"):
			return clean(string(value)) + " (" + amount(number) + ")"
		case strings.HasPrefix(name, "rate_"):
			return clean(string(value)) + " (" + amount(number) + "/s)"
		}
	}
	return clean(string(value))
}

func explanationLines(e *adminclient.Explanation) []line {
	all := []line{{}, {{"what the rules say now", heading}}}
	for _, s := range e.Steps {
		mark := "no"
		if s.Matched {
			mark = "yes"
		}
		all = append(all, line{{fit("rule "+clean(s.Rule), 20, false, "") + " ", strong},
			{fit(clean(s.Action), 5, false, "") + " " + fit(mark, 4, false, ""), normal}, {clean(s.Why), normal}})
	}
	verdict := span{"denied: ", bad}
	if e.Allowed {
		verdict = span{"allowed: ", good}
	}
	return append(all, line{verdict, {clean(e.Sentence), normal}})
}
