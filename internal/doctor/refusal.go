package doctor

import (
	"fmt"
	"strings"
)

// proxyUnreachable is about a proxy that cannot be connected to.
func (r *Report) proxyUnreachable() Verdict {
	why := "is not reached"
	if s, ok := r.trouble(r.Proxy.address, Through); ok {
		why = s.Sentence
		if s.Step == stepDNS {
			why = "its name does not resolve: " + s.Sentence
		}
	}
	without := "; without it everything answers"
	if lost := r.lost(Direct); len(lost) > 0 {
		without = "; without it, " + lost[0].name + " is " + strings.TrimPrefix(r.lostWords(lost[0]), "is ")
	}
	return Verdict{
		Code:     ProxyUnreachable,
		Sentence: fmt.Sprintf("the proxy %s cannot be reached: %s%s", r.Proxy.URL, why, without),
		Next: []string{
			"on the proxy's machine: ss -ltn, to see whether it listens at " + r.Proxy.address,
			"let TCP port " + r.Proxy.address[strings.LastIndex(r.Proxy.address, ":")+1:] + " in from this host, in the firewall there",
		},
	}
}

func (r *Report) lostWords(h Host) string {
	if s, ok := r.trouble(h.Host, Direct); ok {
		return "blocked: it " + directly(s)
	}
	return "not reached"
}

// refusesClient is about a proxy that says no to whatever is asked.
func (r *Report) refusesClient() (Verdict, bool) {
	var told *Step
	for i, s := range r.Steps {
		if s.Way != Through || s.Step != stepTunnel {
			continue
		}
		if s.Outcome != Denied {
			return Verdict{}, false
		}
		if told == nil {
			told = &r.Steps[i]
		}
	}
	if told == nil {
		return Verdict{}, false
	}
	v := Verdict{Code: ProxyRefuses, Sentence: "the proxy refuses this client: " + told.Refusal.Error()}
	switch {
	case told.Refusal.Credentials:
		v.Next = []string{"sluice doctor --proxy " + strings.Replace(r.Proxy.URL, "://", "://USER:PASSWORD@", 1) + r.arguments()}
		if r.Proxy.url.User != nil {
			v.Next = []string{"ask whoever runs the proxy for the right user and password"}
		}
	default:
		v.Next = []string{fmt.Sprintf("on the proxy's machine: sluice serve --allow %s/%s --to %s", r.Proxy.Client, bits(r.Proxy.Client), r.destinations())}
	}
	return v, true
}

func bits(addr string) string {
	if strings.Contains(addr, ":") {
		return "128"
	}
	return "32"
}

// refusesHost is about a proxy that admits this client, but not to a host that is
// needed. The preset that would admit it is named.
func (r *Report) refusesHost(h Host, s Step) Verdict {
	sentence := fmt.Sprintf("the proxy refuses %s: %s", h.name, s.Refusal.Error())
	if r.redirectedTo(h.Host) {
		sentence = fmt.Sprintf("the proxy refuses %s, which the registry redirects to: %s", h.name, s.Refusal.Error())
	}
	to := h.name
	if preset := admittedBy(h.name); preset != "" {
		to = preset
	}
	return Verdict{
		Code: ProxyRefusesHost, Sentence: sentence,
		Next: []string{fmt.Sprintf("on the proxy's machine, in the rule for this client: to = [%q]", to)},
	}
}
