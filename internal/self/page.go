package self

import (
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strconv"
	"strings"
	texttemplate "text/template"

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/setup"
)

var (
	//go:embed page.txt
	textPage string
	//go:embed page.html
	htmlPage string

	asText = texttemplate.Must(texttemplate.New("page.txt").Parse(textPage))
	asHTML = htmltemplate.Must(htmltemplate.New("page.html").Parse(htmlPage))
)

// Bounds of what a page shows: rules may be many, and have a million names each.
const (
	maxRules        = 50
	maxDestinations = 40
)

// view is what the page is made from.
type view struct {
	Client string // its address
	Proxy  string // HOST:PORT
	URL    string
	Rules  []allowed
	More   int      // rules that are left out
	Closed []string // names of rules that deny
	Users  bool
	Trial  bool // in observe mode
	Lines  []line
}

type allowed struct {
	Name, To, Ports string
	Users           bool
}

// line is the command for one client.
type line struct{ Name, Purpose, Command string }

func (p *Pages) page(r forward.SelfRequest, proxy *url.URL) forward.SelfAnswer {
	v := p.view(r, proxy)
	var b strings.Builder
	if prefersHTML(r.Accept) {
		if err := asHTML.Execute(&b, v); err != nil {
			panic(err) // a fault of the template's, which tests would have found
		}
		return found(html, b.String())
	}
	if err := asText.Execute(&b, v); err != nil {
		panic(err)
	}
	return found(plain, b.String())
}

func (p *Pages) view(r forward.SelfRequest, proxy *url.URL) view {
	policy := p.Policy()
	v := view{Client: r.Client.String(), Proxy: proxy.Host, URL: proxy.String(), Users: policy.WantsUser(r.Client)}
	for _, rule := range policy.For(r.Client) {
		v.Trial = v.Trial || rule.Observed
		switch {
		case rule.Rule.Action == acl.Deny:
			// Where it does not let to may be what somebody wants to hide.
			if len(v.Closed) < maxRules {
				v.Closed = append(v.Closed, rule.Rule.Name)
			}
		case len(v.Rules) == maxRules:
			v.More++
		default:
			v.Rules = append(v.Rules, allowed{rule.Rule.Name, destinations(rule.Rule.To), ports(rule.Ports), len(rule.Rule.Users) > 0})
		}
	}
	for _, c := range setup.Clients() {
		v.Lines = append(v.Lines, line{c.Name, c.Purpose, command(proxy.String(), c)})
	}
	return v
}

func destinations(to []string) string {
	if len(to) == 0 {
		return "anywhere public"
	}
	more := ""
	if n := len(to) - maxDestinations; n > 0 {
		to, more = to[:maxDestinations], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(to, ", ") + more
}

func ports(list []acl.PortRange) string {
	word := "port "
	if len(list) > 1 || list[0].First != list[0].Last {
		word = "ports "
	}
	more := ""
	if n := len(list) - maxDestinations; n > 0 {
		list, more = list[:maxDestinations], fmt.Sprintf(" and %d more", n)
	}
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = r.String()
	}
	return word + strings.Join(texts, ", ") + more
}

// prefersHTML tells whether an Accept field (RFC 9110, section 12.5.1) names HTML,
// and text not before it. A client that takes anything gets text, for that is what
// curl says.
func prefersHTML(accept string) bool {
	weights := map[string]float64{}
	for item := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(item, ";")
		q := 1.0
		for p := range strings.SplitSeq(parameters, ";") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if f, err := strconv.ParseFloat(text, 64); err == nil {
					q = f
				}
			}
		}
		weights[strings.ToLower(strings.TrimSpace(name))] = q
	}
	return weights["text/html"] > 0 && weights["text/html"] >= weights["text/plain"]
}
