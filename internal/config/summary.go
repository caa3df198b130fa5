package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Summary tells in a few plain lines what was configured, for the log of the
// start.
func (c *Config) Summary() []string {
	source := "no configuration file: flags and defaults"
	if c.Path != "" {
		source = "configuration from " + c.Path
	}
	lines := []string{source}
	for _, l := range c.Listeners {
		lines = append(lines, fmt.Sprintf("listening on %s for %s", l.Address, spoken(l.Protocol)))
	}
	if c.Admin == "" {
		lines = append(lines, "no admin address")
	} else {
		lines = append(lines, "admin and metrics on "+c.Admin)
	}
	lines = append(lines, c.summarizeRules()...)
	l, t := c.Limits, c.Timeouts
	lines = append(lines,
		fmt.Sprintf("each client: download %s, upload %s, burst %s, %d tunnels, %s new ones per second",
			l.Download, l.Upload, size(l.Burst), l.Tunnels, strconv.FormatFloat(l.NewTunnels, 'g', 3, 64)),
		fmt.Sprintf("timeouts: handshake %s, dial %s, idle %s; drain %s",
			brief(t.Handshake), brief(t.Dial), brief(t.Idle), brief(c.Server.Drain)))
	if len(c.Egress.AllowPrivate) > 0 {
		lines = append(lines, "non-public addresses that may be dialled: "+list(c.Egress.AllowPrivate, ""))
	}
	if len(c.Egress.Resolver) > 0 {
		lines = append(lines, "name servers: "+list(c.Egress.Resolver, ""))
	}
	return lines
}

func spoken(p Protocol) string {
	switch p {
	case HTTP:
		return "HTTP"
	case SOCKS5:
		return "SOCKS5"
	}
	return "HTTP and SOCKS5"
}

// brief is a duration without the zeros behind: "15m" for "15m0s".
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// shownRules and shownItems bound what Summary writes.
const (
	shownRules = 30
	shownItems = 4
)

func (c *Config) summarizeRules() []string {
	var lines []string
	for i, r := range c.Rules {
		if i == shownRules {
			lines = append(lines, fmt.Sprintf("and %d more rules", len(c.Rules)-i))
			break
		}
		lines = append(lines, "rule "+r.String())
	}
	return append(lines, "what no rule matches is denied")
}

// String tells the rule in one line.
func (r Rule) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s %s", r.Name, r.Action, list(r.Clients, "any client"))
	if len(r.Users) > 0 {
		s.WriteString(" as " + list(r.Users, ""))
	}
	s.WriteString(" to " + list(r.To, "anywhere"))
	if len(r.Ports) == 0 {
		s.WriteString(" on ports 80, 443")
	} else {
		s.WriteString(" on ports " + list(r.Ports, ""))
	}
	if r.Download != Unset {
		fmt.Fprintf(&s, ", download %s", r.Download)
	}
	if r.Upload != Unset {
		fmt.Fprintf(&s, ", upload %s", r.Upload)
	}
	return s.String()
}

// list joins the first few items, and says how many there are beside.
func list[T any](items []T, none string) string {
	if len(items) == 0 {
		return none
	}
	texts := make([]string, 0, shownItems)
	for _, item := range items[:min(len(items), shownItems)] {
		texts = append(texts, fmt.Sprint(item))
	}
	s := strings.Join(texts, ", ")
	if more := len(items) - len(texts); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
