package doctor

import (
	"cmp"
	"fmt"
	"strings"
)

// Code is a verdict in one word.
type Code string

// All verdicts.
const (
	Open              Code = "open"
	WorksThroughProxy Code = "works_through_proxy"
	Blocked           Code = "blocked"
	Broken            Code = "broken"
	LimitReached      Code = "rate_limited"
	ProxyHelps        Code = "proxy_helps"
	ProxyBypassed     Code = "proxy_bypassed"
	ProxyUnreachable  Code = "proxy_unreachable"
	ProxyRefuses      Code = "proxy_refuses_client"
	ProxyRefusesHost  Code = "proxy_refuses_host"
	Intercepted       Code = "intercepted"
	ClockWrong        Code = "clock_wrong"
)

// ExitStatus is the command's exit status for a verdict. 2 is a command that was
// called wrongly, as everywhere.
func ExitStatus(c Code) int {
	switch c {
	case Open, WorksThroughProxy:
		return 0
	case ProxyHelps, ProxyBypassed:
		return 3
	case ProxyUnreachable:
		return 4
	case ProxyRefuses, ProxyRefusesHost:
		return 5
	case Intercepted, ClockWrong:
		return 6
	}
	return 1
}

// Codes lists all verdicts.
func Codes() []Code {
	return []Code{
		Open, WorksThroughProxy, Blocked, Broken, LimitReached, ProxyHelps, ProxyBypassed,
		ProxyUnreachable, ProxyRefuses, ProxyRefusesHost, Intercepted, ClockWrong,
	}
}

// judge comes to a verdict. What keeps everything from working is told first; then
// whether the settings in place work; then what would.
func (r *Report) judge(set *settings) Verdict {
	v := r.verdict(set)
	v.Exit = ExitStatus(v.Code)
	v.Sentence = clean(v.Sentence)
	return v
}

func (r *Report) verdict(set *settings) Verdict {
	if r.Proxy != nil && !r.Proxy.Reachable {
		return r.proxyUnreachable()
	}
	if v, ok := r.refusesClient(); ok {
		return v
	}
	if v, ok := r.limited(); ok {
		return v
	}
	lost := r.lost(Direct)
	switch {
	case r.Proxy != nil && r.works():
		if n := len(lost); n > 0 {
			return Verdict{Code: WorksThroughProxy, Sentence: fmt.Sprintf("fine: %s; %s answers through the proxy, which is in place", r.blocked(lost), them(n))}
		}
		return Verdict{Code: WorksThroughProxy, Sentence: "fine: the proxy is in place and everything answers through it; it all answers directly, too"}
	case len(lost) == 0 && (r.Proxy == nil || !r.Proxy.InPlace):
		return Verdict{Code: Open, Sentence: fmt.Sprintf("not blocked: %s directly%s", r.all(), r.notThrough())}
	case r.Proxy == nil:
		return r.hopeless(lost)
	}
	return r.withProxy(set, lost)
}

// withProxy is about a proxy that works in itself, where the settings in place do
// not reach every host.
func (r *Report) withProxy(set *settings, lost []Host) Verdict {
	for _, h := range r.Hosts {
		if s, ok := r.trouble(h.Host, Through); ok && s.Outcome == Denied && r.matters(h) && (h.Direct != string(OK) || h.Uses == string(Through)) {
			return r.refusesHost(h, s)
		}
	}
	for _, h := range r.Hosts {
		if h.Through != string(OK) && r.matters(h) && (h.Direct != string(OK) || h.Uses == string(Through)) {
			return r.neither(h)
		}
	}
	if r.Proxy.InPlace {
		for _, h := range lost {
			if h.Uses == string(Direct) {
				_, whose, _ := set.decides()
				return Verdict{
					Code:     ProxyBypassed,
					Sentence: fmt.Sprintf("%s; it answers through the proxy, but %s goes around the proxy for it", r.blocked([]Host{h}), whose),
					Next:     []string{"take what exempts " + h.name + " out of NO_PROXY, and restart what has it"},
				}
			}
		}
	}
	if len(lost) == 0 {
		return Verdict{Code: Open, Sentence: fmt.Sprintf("not blocked: %s directly", r.all())}
	}
	h := lost[0]
	return Verdict{
		Code:     ProxyHelps,
		Sentence: fmt.Sprintf("%s and answers through the proxy in %s", r.blocked(lost), short(r.took(h.Host, Through))),
		Next:     []string{r.setUp(set)},
	}
}

// lost are the hosts that matter and do not answer on this way, those that need
// nothing but a connection last: a registry's redirect says most.
func (r *Report) lost(w wayName) []Host {
	var redirects, lost []Host
	for _, h := range r.Hosts {
		if r.state(h, w) == string(OK) || !r.matters(h) {
			continue
		}
		if h.Why == whyRedirect || r.redirectedTo(h.Host) {
			redirects = append(redirects, h)
			continue
		}
		lost = append(lost, h)
	}
	return append(redirects, lost...)
}

func (r *Report) state(h Host, w wayName) string {
	if w == Through {
		return h.Through
	}
	return h.Direct
}

// matters says whether a verdict hangs on a host: it is needed, or it is one of a
// preset's that answers on one of the ways, and so is alive.
func (r *Report) matters(h Host) bool {
	return h.Needed || h.Direct == string(OK) || h.Through == string(OK)
}

func (r *Report) redirectedTo(host string) bool {
	for _, s := range r.Steps {
		if s.Location == host {
			return true
		}
	}
	return false
}

// works says whether every host answers on the way that is taken to it now, and the
// proxy is taken to one at least.
func (r *Report) works() bool {
	for _, h := range r.Hosts {
		if !r.matters(h) {
			continue
		}
		switch h.Uses {
		case string(Direct):
			if h.Direct != string(OK) {
				return false
			}
		case string(Through):
			if h.Through != string(OK) {
				return false
			}
		default:
			return false
		}
	}
	return r.Proxy.InPlace
}

// blocked tells of hosts that do not answer directly, the first one by name.
func (r *Report) blocked(lost []Host) string {
	h := lost[0]
	why := "does not answer directly"
	if s, ok := r.trouble(h.Host, Direct); ok {
		why = directly(s)
	}
	also := ""
	if n := len(lost) - 1; n > 0 {
		also = fmt.Sprintf(" (%d more are blocked, too)", n)
		if n == 1 {
			also = " (" + lost[1].name + " is blocked, too)"
		}
	}
	return fmt.Sprintf("blocked: %s %s%s", h.name, why, also)
}

// directly is what came of a host's first failing step, as the middle of a sentence.
func directly(s Step) string {
	switch {
	case s.Step == stepDNS && s.Outcome == NoName:
		return "does not resolve here"
	case s.Step == stepDNS:
		return "is a name that no resolver here answers"
	}
	switch s.Outcome {
	case TimedOut:
		return "times out directly"
	case Refused:
		return "refuses the connection directly"
	case Reset:
		return "is cut off directly"
	case Unreachable:
		return "has no route directly"
	case UnknownAuthority:
		return "is intercepted directly, with a certificate by " + s.Certificate.issuer() + ","
	}
	return "fails directly, " + s.Sentence
}

func (c *Certificate) issuer() string {
	if c == nil {
		return "nobody known"
	}
	return c.Issuer
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "each"
}

func (r *Report) all() string {
	n := 0
	for _, h := range r.Hosts {
		if r.matters(h) {
			n++
		}
	}
	if n == 1 {
		return r.Hosts[0].name + " answers"
	}
	return fmt.Sprintf("all %d hosts answer", n)
}

// hopeless is about a host with no proxy to try.
func (r *Report) hopeless(lost []Host) Verdict {
	if v, ok := r.tlsTrouble(lost, Direct); ok {
		return v
	}
	return Verdict{
		Code:     Blocked,
		Sentence: r.blocked(lost) + "; no proxy was tried",
		Next: []string{
			"on a machine that reaches it: sluice serve --allow ADDRESS-OF-THIS-HOST/32 --to " + r.destinations(),
			"then here: sluice doctor --proxy http://THAT-MACHINE:3128" + r.arguments(),
		},
	}
}

// notThrough is the end of a sentence about a proxy that nothing hangs on.
func (r *Report) notThrough() string {
	if r.Proxy == nil {
		return ""
	}
	for _, h := range r.lost(Through) {
		if s, ok := r.trouble(h.Host, Through); ok {
			return fmt.Sprintf("; through the proxy, which is not in place, %s does not: %s", h.name, s.Sentence)
		}
	}
	return "; through the proxy they do, too"
}

// neither is about a host that answers on none of the ways.
func (r *Report) neither(h Host) Verdict {
	if v, ok := r.tlsTrouble([]Host{h}, Through); ok {
		return v
	}
	through, _ := r.trouble(h.Host, Through)
	sentence := fmt.Sprintf("broken: %s fails through the proxy, %s", h.name, through.Sentence)
	if s, ok := r.trouble(h.Host, Direct); ok {
		sentence += "; and it " + directly(s)
	}
	return Verdict{Code: Broken, Sentence: sentence, Next: []string{"on the proxy's machine: sluice doctor " + h.Host}}
}

// tlsTrouble is about certificates, which a proxy does not mend.
func (r *Report) tlsTrouble(lost []Host, w wayName) (Verdict, bool) {
	for _, h := range lost {
		s, ok := r.trouble(h.Host, w)
		if !ok || s.Certificate == nil {
			continue
		}
		switch s.Outcome {
		case NotYetValid:
			return Verdict{
				Code: ClockWrong, Sentence: fmt.Sprintf("broken: this host's clock is behind, so %s has a certificate of the future", h.name),
				Next: []string{"timedatectl set-ntp true"},
			}, true
		case UnknownAuthority, WrongName, Expired:
			return Verdict{
				Code:     Intercepted,
				Sentence: fmt.Sprintf("intercepted: %s %s shows a certificate by %s, not to be trusted here", h.name, s.Way.said(), s.Certificate.Issuer),
				Next:     []string{"take a way around what intercepts, or have this host trust its authority if it is your own"},
			}, true
		}
	}
	return Verdict{}, false
}

// limited is about a registry that has had enough of the address that is used.
func (r *Report) limited() (Verdict, bool) {
	used := Direct
	if r.Proxy != nil && (r.Proxy.InPlace || len(r.lost(Direct)) > 0) {
		used = Through
	}
	for _, s := range r.Steps {
		if s.Step == stepManifest && s.Outcome == RateLimited && s.Way == used {
			return Verdict{
				Code:     LimitReached,
				Sentence: fmt.Sprintf("%s is reached %s, and answers that this address has made too many pulls", hostOf(s.Host), s.Way.said()),
				Next:     []string{"docker login"},
			}, true
		}
	}
	return Verdict{}, false
}

// destinations and arguments name what was examined as a rule and as this command
// do.
func (r *Report) destinations() string {
	for _, h := range r.Hosts {
		if strings.HasPrefix(h.Why, "@") {
			return h.Why
		}
	}
	return r.Hosts[0].name
}

func (r *Report) arguments() string {
	var names []string
	seen := make(map[string]bool)
	for _, h := range r.Hosts {
		name := h.Host
		if strings.HasPrefix(h.Why, "@") {
			name = h.Why
		}
		if h.Why == whyToken || h.Why == whyRedirect || seen[name] {
			continue
		}
		seen[name] = true
		names = append(names, name)
	}
	if len(names) == 1 && names[0] == "@docker-hub" {
		return ""
	}
	return " " + strings.Join(names, " ")
}

// setUp is the command that puts the proxy in place.
func (r *Report) setUp(set *settings) string {
	if !set.pulls {
		return "sluice setup shell --proxy " + r.Proxy.URL
	}
	return "sluice setup " + cmp.Or(set.client, "docker") + " --proxy " + r.Proxy.URL + " --apply"
}
