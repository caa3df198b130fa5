package doctor

import (
	"fmt"
	"net/netip"
	"strings"
)

// traps are what is wrong with a NO_PROXY: entries that do not do what they look
// like, and entries that send a host around the proxy which needs it.
func traps(whose, list string, hosts []string, relay string) []Fact {
	var facts []Fact
	for _, entry := range strings.Split(list, ",") {
		l, sentence := trap(entry, hosts, relay)
		if sentence != "" {
			facts = append(facts, Fact{"no_proxy", l, clean(whose + ": " + sentence)})
		}
	}
	return facts
}

// trap judges one entry; "": there is nothing to say.
func trap(entry string, hosts []string, relay string) (Level, string) {
	bare := strings.TrimSpace(entry)
	switch {
	case bare == "":
		return "", ""
	case strings.Contains(bare, "://"):
		return Caution, fmt.Sprintf("%s matches nothing: an entry has no scheme", bare)
	case strings.ContainsAny(bare, " \t"):
		return Caution, fmt.Sprintf("%q matches nothing: entries are separated by commas", bare)
	case bare == "*":
		return Bad, "* exempts every host: nothing goes through the proxy"
	}
	if sentence := exempts(bare, hosts); sentence != "" {
		return Bad, sentence
	}
	switch {
	case strings.Contains(bare, "/"):
		return network(bare)
	case strings.HasPrefix(bare, "*."):
		return Caution, fmt.Sprintf("%s is not understood by every program: %s is", bare, bare[1:])
	case strings.Contains(bare, "*"):
		return Caution, fmt.Sprintf("%s matches nothing: * stands only alone, or in front of a dot", bare)
	case relay != "" && strings.EqualFold(bare, relay):
		return Remark, fmt.Sprintf("%s is the proxy itself: that entry does nothing for clients of the proxy", bare)
	case bare != entry && strings.HasPrefix(entry, " "):
		return Remark, fmt.Sprintf("there is a space in front of %s: some programs take it for a part of the name", bare)
	}
	return "", ""
}

func network(entry string) (Level, string) {
	p, err := netip.ParsePrefix(entry)
	if err != nil {
		return Caution, fmt.Sprintf("%s matches nothing: it is no network", entry)
	}
	return Remark, fmt.Sprintf("%s matches addresses that are asked for as such, and no name that leads to one", p)
}

// exempts names the hosts that an entry takes away from the proxy.
func exempts(entry string, hosts []string) string {
	p := proxySettings{http: "http://proxy.invalid", https: "http://proxy.invalid", exempt: entry}
	var exempted []string
	for _, h := range hosts {
		if p.forHost(h) == "" && (proxySettings{https: p.https}).forHost(h) != "" {
			exempted = append(exempted, h)
		}
	}
	switch len(exempted) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s exempts %s: it is asked directly, never through the proxy", entry, exempted[0])
	}
	return fmt.Sprintf("%s exempts %s and %d more: they are asked directly, never through the proxy", entry, exempted[0], len(exempted)-1)
}
