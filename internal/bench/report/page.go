package report

import (
	"fmt"
	"slices"
	"strings"
)

// Page is the results in Markdown: an introduction, the figures with what is to be said
// of them, and the method.
func (r *Results) Page(introduction, method string) string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("## Figures\n\n" + r.Table())
	for _, part := range []struct {
		title string
		items []string
	}{
		{"Notes", r.notes()},
		{"Rounds more than 25 % from their median", r.Far()},
		{"Machine and versions", r.settings()},
	} {
		if len(part.items) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n- %s\n", part.title, strings.Join(part.items, "\n- "))
		}
	}
	b.WriteString(method)
	return b.String()
}

func (r *Results) notes() []string {
	var list []string
	for _, row := range r.Rows {
		for _, n := range row.Notes {
			list = append(list, row.Title+": "+n)
		}
	}
	return list
}

// settings names the settings, each with the rows that were measured in it.
func (r *Results) settings() []string {
	var texts []string
	titles := make(map[string][]string)
	for _, row := range r.Rows {
		s := row.Setting
		var versions []string
		for name, v := range s.Versions {
			versions = append(versions, name+" "+v)
		}
		slices.Sort(versions)
		text := fmt.Sprintf("%s; %d rounds; %s; %s", s.Date, s.Rounds, s.Machine, strings.Join(versions, ", "))
		if titles[text] == nil {
			texts = append(texts, text)
		}
		titles[text] = append(titles[text], row.Name)
	}
	for i, text := range texts {
		texts[i] = strings.Join(titles[text], ", ") + ": " + text
	}
	return texts
}
