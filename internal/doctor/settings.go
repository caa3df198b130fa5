package doctor

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxySettings are those that a program has.
type proxySettings struct {
	http, https, all, exempt string   // HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
	differ                   []string // variables whose two spellings differ
}

// forHost is the proxy that a Go program, dockerd among them, takes for https to
// this host; "": none.
func (p proxySettings) forHost(host string) string { return p.to(Target{Host: host, Port: 443}) }

// to is the same for a destination, whose port 80 is http's.
func (p proxySettings) to(t Target) string {
	choose := (&httpproxy.Config{HTTPProxy: p.http, HTTPSProxy: p.https, NoProxy: p.exempt}).ProxyFunc()
	scheme := "https"
	if t.Port == 80 {
		scheme = "http"
	}
	u, err := choose(&url.URL{Scheme: scheme, Host: t.urlHost()})
	if err != nil || u == nil || defaultPorts[u.Scheme] == "" {
		return ""
	}
	return proxyAddress(u)
}

// settings are those of this process and of dockerd.
type settings struct {
	own    proxySettings
	docker docker
	client string // what pulls images here, as sluice setup names it
	pulls  bool   // what is examined is what dockerd pulls from
}

// find is the proxy to examine where none is named: the environment's, or else
// dockerd's.
func (s *settings) find() (*url.URL, string) {
	for _, at := range []struct{ text, source string }{
		{s.own.https, "HTTPS_PROXY"},
		{s.own.http, "HTTP_PROXY"},
		{s.own.all, "ALL_PROXY"},
		{s.docker.set.https, s.docker.source},
		{s.docker.set.http, s.docker.source},
	} {
		if at.text == "" {
			continue
		}
		if u, err := ParseProxy(at.text); err == nil {
			return u, at.source
		}
	}
	return nil, ""
}

// decides are the settings that bear on the verdict: dockerd's where a pull from a
// registry is examined and dockerd runs here, this process's otherwise. Not ok:
// they could not be read.
func (s *settings) decides() (p proxySettings, whose string, ok bool) {
	if s.pulls && s.docker.running {
		return s.docker.set, "dockerd", s.docker.source != ""
	}
	return s.own, "this shell", true
}

// uses is which way is taken to a host by the settings in place: "direct", "proxy"
// for the one examined, "other" for another proxy, or "" if that is not known.
func (s *settings) uses(t Target, proxy string) string {
	p, _, ok := s.decides()
	if !ok {
		return ""
	}
	switch p.to(t) {
	case "":
		return string(Direct)
	case proxy:
		return string(Through)
	}
	return "other"
}

// facts are what the settings have to be told of.
func (s *settings) facts(r *Report) []Fact {
	facts := s.dockerFacts(r)
	facts = append(facts, s.ownFacts()...)
	var hosts []string
	for _, h := range r.Hosts {
		hosts = append(hosts, h.name)
	}
	relay := ""
	if r.Proxy != nil {
		relay = r.Proxy.url.Hostname()
		if r.Proxy.url.Scheme == "socks5h" {
			facts = append(facts, Fact{"scheme", Caution, "older Docker Engines do not know socks5h://; socks5:// does the same there"})
		}
	}
	facts = append(facts, traps("NO_PROXY of this shell", s.own.exempt, hosts, relay)...)
	if s.docker.set.exempt != s.own.exempt {
		facts = append(facts, traps("dockerd's NO_PROXY", s.docker.set.exempt, hosts, relay)...)
	}
	return facts
}

func (s *settings) dockerFacts(r *Report) []Fact {
	d := &s.docker
	var facts []Fact
	add := func(l Level, format string, args ...any) {
		facts = append(facts, Fact{"dockerd", l, clean(fmt.Sprintf(format, args...))})
	}
	set := ""
	if u, err := ParseProxy(d.set.https); d.set.https != "" && err == nil {
		set = Redacted(u)
	}
	switch {
	case !d.running:
		add(Remark, "no dockerd runs on this host")
	case d.source == "":
		add(Caution, "dockerd runs here, but its settings are not for this user to read; run sluice doctor as root")
	case set == "" && d.set.https != "":
		add(Bad, "dockerd has an HTTPS_PROXY that is no proxy's address (%s)", d.source)
	case set == "" && d.set.http != "":
		add(Bad, "dockerd has HTTP_PROXY and no HTTPS_PROXY (%s): pulls go directly", d.source)
	case set == "" && d.set.all != "":
		add(Bad, "dockerd has ALL_PROXY alone, which it ignores: pulls go directly")
	case set == "":
		add(Remark, "dockerd has no proxy (%s)", d.source)
	case r.Proxy != nil && r.Proxy.address != d.set.forHost(hubRegistry):
		add(Caution, "dockerd does not use this proxy for %s, it is set to %s (%s)", hubRegistry, set, d.source)
	default:
		add(Good, "dockerd has the proxy %s (%s)", set, d.source)
	}
	switch {
	case d.malformed != "":
		add(Bad, "/etc/docker/daemon.json is no JSON: %s", d.malformed)
	case d.proxies && d.old():
		add(Bad, `/etc/docker/daemon.json has "proxies", and Engine %s does not start with it; that takes Engine 23`, d.version)
	case d.proxies && d.version == "":
		add(Caution, `/etc/docker/daemon.json has "proxies": an Engine older than 23 does not start with it`)
	}
	return facts
}

func (s *settings) ownFacts() []Fact {
	var facts []Fact
	add := func(l Level, format string, args ...any) {
		facts = append(facts, Fact{"environment", l, clean(fmt.Sprintf(format, args...))})
	}
	for _, name := range s.own.differ {
		add(Caution, "%s and %s differ, and programs do not agree on which of them counts", name, strings.ToLower(name))
	}
	u, err := ParseProxy(s.own.https)
	switch {
	case s.own.https != "" && err != nil:
		add(Bad, "HTTPS_PROXY of this shell is no proxy's address: %v", err)
	case s.own.https != "":
		add(Remark, "this shell has HTTPS_PROXY=%s; dockerd does not see that", Redacted(u))
	case s.own.http != "":
		add(Caution, "this shell has HTTP_PROXY and no HTTPS_PROXY: https goes directly")
	case s.own.all != "":
		add(Caution, "this shell has ALL_PROXY alone: curl takes it, Docker and other Go programs do not")
	}
	return facts
}
