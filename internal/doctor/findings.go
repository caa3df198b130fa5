package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Skews of this host's clock: one that is worth a word, and one with which tokens
// and fresh certificates are refused.
const (
	noticeableSkew = time.Minute
	harmfulSkew    = 5 * time.Minute
)

// findings are what several steps together say.
func (r *Report) findings() []Fact {
	facts := r.clock()
	facts = append(facts, r.intercepted()...)
	facts = append(facts, r.alsoRefused()...)
	for _, s := range r.Steps {
		switch {
		case s.Step == stepTLS && s.Outcome == TimedOut:
			facts = append(facts, Fact{"mtu", Caution, fmt.Sprintf(
				"%s takes the connection %s and is then silent: a filter that reads names, or large packets are lost (MTU); try: ping -M do -s 1472 %s",
				s.Host, s.Way.said(), hostOf(s.Host))})
		case s.Step == stepTLS && s.Outcome == Reset:
			facts = append(facts, Fact{"filter", Caution, fmt.Sprintf(
				"%s is connected %s and cut off as soon as TLS names it: something on the way reads names", s.Host, s.Way.said())})
		case s.Step == stepTCP && s.Outcome == OK && silent(s.Addresses) > 0:
			facts = append(facts, Fact{"addresses", Caution, fmt.Sprintf(
				"%s: %d of %d addresses give no answer; a client that takes those first waits for them", s.Host, silent(s.Addresses), len(s.Addresses))})
		case s.Step == stepManifest && s.Outcome == RateLimited:
			facts = append(facts, Fact{"rate_limit", Bad, fmt.Sprintf(
				"%s answers 429 %s: this address has made its pulls; log in with docker login, or wait", s.Host, s.Way.said())})
		}
	}
	return append(facts, r.diverted()...)
}

func silent(tried []Address) int {
	n := 0
	for _, a := range tried {
		if a.Outcome == TimedOut {
			n++
		}
	}
	return n
}

// said is the way in a sentence.
func (w wayName) said() string {
	if w == Through {
		return "through the proxy"
	}
	return "directly"
}

func hostOf(address string) string {
	return strings.Trim(address[:strings.LastIndex(address, ":")], "[]")
}

// clock holds this host's clock against the hosts' own: the middle one of what they
// say, so that one whose clock is wrong decides nothing among several.
func (r *Report) clock() []Fact {
	var skews []time.Duration
	for _, s := range r.Steps {
		if s.Date != nil {
			skews = append(skews, s.skew)
		}
		if s.Outcome == NotYetValid {
			return []Fact{{"clock", Bad, fmt.Sprintf("this host's clock says %s, and the certificate of %s begins later: set the clock, with timedatectl set-ntp true",
				r.Started.Format(time.DateTime), s.Host)}}
		}
	}
	if len(skews) == 0 {
		return nil
	}
	slices.Sort(skews)
	skew := skews[len(skews)/2]
	direction := "ahead"
	if skew < 0 {
		direction = "behind"
	}
	level := Caution
	switch {
	case skew.Abs() < noticeableSkew:
		return nil
	case skew.Abs() >= harmfulSkew:
		level = Bad
	}
	return []Fact{{"clock", level, fmt.Sprintf("this host's clock is %s %s: set it, with timedatectl set-ntp true", skew.Abs().Round(time.Second), direction)}}
}

// intercepted names who stands between, by the issuers on both ways.
func (r *Report) intercepted() []Fact {
	var facts []Fact
	for _, s := range r.Steps {
		if s.Step != stepTLS || s.Outcome != UnknownAuthority || s.Certificate == nil {
			continue
		}
		sentence := fmt.Sprintf("%s %s shows a certificate by %s, which this host does not trust", s.Host, s.Way.said(), s.Certificate.Issuer)
		for _, other := range r.Steps {
			if other.Step == stepTLS && other.Host == s.Host && other.Way != s.Way && other.Outcome == OK {
				sentence = fmt.Sprintf("a man in the middle answers for %s %s: the certificate is by %s; %s it is by %s", s.Host, s.Way.said(),
					s.Certificate.Issuer, other.Way.said(), other.Certificate.Issuer)
			}
		}
		facts = append(facts, Fact{"issuer", Bad, sentence})
	}
	return facts
}

// alsoRefused tells of hosts of a preset that the proxy refuses and that the verdict
// does not hang on: another time, the registry may send its clients there.
func (r *Report) alsoRefused() []Fact {
	var refused []string
	preset := ""
	for _, h := range r.Hosts {
		if s, ok := r.trouble(h.Host, Through); ok && s.Outcome == Denied && strings.HasPrefix(h.Why, "@") {
			refused, preset = append(refused, h.name), h.Why
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return []Fact{{"preset", Caution, fmt.Sprintf("the proxy refuses %s; to = [%q] in its rule admits all of that preset", strings.Join(refused, ", "), preset)}}
}

// diverted tells of names of a preset, all of them public, that resolve to what
// nobody outside could reach.
func (r *Report) diverted() []Fact {
	var facts []Fact
	for _, s := range r.Steps {
		i := slices.IndexFunc(r.Hosts, func(h Host) bool { return h.Host == s.Host && strings.HasPrefix(h.Why, "@") })
		if s.Step != stepTCP || i < 0 {
			continue
		}
		for _, tried := range s.Addresses {
			a, err := netip.ParseAddr(tried.Address)
			if err == nil && (a.IsPrivate() || a.IsLoopback() || a.IsUnspecified()) {
				facts = append(facts, Fact{"dns", Bad, fmt.Sprintf("%s resolves to %s, which is not public: a name server or /etc/hosts diverts it", hostOf(s.Host), a)})
				break
			}
		}
	}
	return facts
}
