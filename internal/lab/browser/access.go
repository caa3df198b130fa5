//go:build linux

package browser

import (
	"encoding/json"
	"slices"

	"github.com/chromedp/cdproto/accessibility"
)

// named are the roles of what is used or steered by.
var named = []string{"button", "link", "textbox", "searchbox", "slider", "columnheader", "table", "dialog", "heading", "region", "meter"}

// CheckNames fails the test where a part of the page has a role that wants a name and
// has none, and for those that are not there. A part is its role and its name, as
// assistive technology is told of them: "button Cancel".
func (b *Tab) CheckNames(want ...string) {
	b.t.Helper()
	var parts []string
	for _, n := range Call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := axText(n.Role), axText(n.Name)
		switch {
		case name != "":
			role += " " + name
		case slices.Contains(named, role):
			b.t.Errorf("a %s has no name", role)
		}
		parts = append(parts, role)
	}
	for _, part := range want {
		if !slices.Contains(parts, part) {
			b.t.Errorf("there is no %q among %q", part, parts)
		}
	}
}

func axText(v *accessibility.Value) string {
	var text string
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // what is no text is no name
	}
	return text
}
