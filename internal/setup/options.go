package setup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Options are what the texts and files are made from.
type Options struct {
	// Proxy is http://HOST:PORT or socks5://HOST:PORT, as ParseProxy returns it.
	Proxy *url.URL
	// NoProxy are destinations that are reached without the proxy, beside those that
	// always are: names, ".example.internal" for a domain, addresses, CIDRs.
	NoProxy []string
	// Host is this host's own name; empty: not known.
	Host string
	// Pods and Services are the ranges of a Kubernetes cluster, and Nodes the
	// addresses of this node and the API server.
	Pods, Services, Nodes []string
}

// ParseProxy reads a proxy's URL. What it refuses it says with what to write instead.
func ParseProxy(text string) (*url.URL, error) {
	const form = "write it as http://HOST:PORT or socks5://HOST:PORT"
	if text == "" {
		return nil, errors.New("--proxy is missing: " + form)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("--proxy %q has a space or a control character in it: %s", text, form)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("--proxy %q is no proxy's URL: %s", text, form)
	}
	switch u.Scheme = strings.ToLower(u.Scheme); u.Scheme {
	case "http", "socks5":
	case "socks5h":
		u.Scheme = "socks5"
	default:
		return nil, fmt.Errorf("--proxy has the scheme %q, which is not for proxies here: %s", u.Scheme, form)
	}
	if u.Path == "/" {
		u.Path = ""
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, fmt.Errorf("--proxy has something behind HOST:PORT: leave it at %s://%s", u.Scheme, u.Host)
	}
	if u.Port() == "" {
		return nil, fmt.Errorf("--proxy has no port: write it as %s://%s, if 3128 is the proxy's", u.Scheme, net.JoinHostPort(u.Hostname(), "3128"))
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("--proxy has the port %s: ports go from 1 to 65535", u.Port())
	}
	if err := hostName(u.Hostname()); err != nil {
		return nil, fmt.Errorf("--proxy: %w", err)
	}
	// Some files have the password as it is, and a line of its own would be a setting.
	if name, password := (Options{Proxy: u}).user(); strings.ContainsFunc(name+password, unicode.IsControl) {
		return nil, errors.New("--proxy has a control character in its user or password, which no file could carry")
	}
	u.Host = net.JoinHostPort(u.Hostname(), u.Port())
	return u, nil
}

// hostName refuses what is neither an address nor a host name: such text would have
// to be quoted in each file in another way, and no client could use it.
func hostName(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return fmt.Errorf("%s has a zone, which few clients can read: take an address without", host)
		}
		return nil
	}
	for _, r := range host {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("-._", r) {
			return fmt.Errorf("%q is no host name, for the %q in it", host, r)
		}
	}
	return nil
}

// ParseNoProxy reads a list with commas.
func ParseNoProxy(list string) ([]string, error) {
	var entries []string
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if err := exception(entry); err != nil {
			return nil, fmt.Errorf("--no-proxy: %w", err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func exception(entry string) error {
	if strings.Contains(entry, "/") {
		if _, err := netip.ParsePrefix(entry); err != nil {
			return fmt.Errorf("%q is no CIDR: write it as 192.0.2.0/24, without http:// or a path", entry)
		}
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return hostName(addr.String()) // a zone may be any text, a shell's too
	}
	host := entry
	if h, port, err := net.SplitHostPort(entry); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%q has no port behind the colon", entry)
		}
		host = h
	}
	return hostName(strings.TrimPrefix(host, "*."))
}

// Address is the proxy's HOST:PORT.
func (o Options) Address() string { return o.Proxy.Host }

// SOCKS tells whether the proxy is spoken to in SOCKS5.
func (o Options) SOCKS() bool { return o.Proxy.Scheme == "socks5" }

// Secret tells whether the proxy's URL has a password, so that files with it are
// for their owner alone.
func (o Options) Secret() bool { return o.Proxy.User != nil }

// user and password of the proxy's URL, as they are before they are escaped.
func (o Options) user() (name, password string) {
	password, _ = o.Proxy.User.Password()
	return o.Proxy.User.Username(), password
}

// always are the names that the proxy never is to be asked for: they mean this
// machine or its network, and the proxy would look on its own side. 169.254.169.254
// is where clouds tell a machine of itself. ".local" is RFC 6762's; ".internal" is
// set aside for private networks.
func (o Options) always() []string {
	list := []string{"localhost", "127.0.0.1", "::1"}
	if o.Host != "" {
		list = append(list, o.Host)
	}
	return append(list, "169.254.169.254", ".local", ".internal")
}

// private are the ranges of RFC 1918. They hold only for destinations that are
// written as addresses, and only in programs that read CIDRs, as those in Go do: no
// name is looked up to compare it with them.
func private() []string { return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} }

// Exceptions are the entries of NO_PROXY for programs that read names, addresses and
// domains, each once.
func (o Options) Exceptions() []string { return unique(o.always(), o.NoProxy) }

// GoExceptions are those for programs in Go, which read CIDRs as well.
func (o Options) GoExceptions() []string { return unique(o.always(), private(), o.NoProxy) }

func unique(lists ...[]string) []string {
	var all []string
	seen := make(map[string]bool)
	for _, entry := range slices.Concat(lists...) {
		if !seen[entry] {
			seen[entry] = true
			all = append(all, entry)
		}
	}
	return all
}

// environment are the variables of a program in Go.
func environment(o Options) []Setting {
	return []Setting{
		{Name: "HTTP_PROXY", Value: o.Proxy.String()},
		{Name: "HTTPS_PROXY", Value: o.Proxy.String()},
		{Name: "NO_PROXY", Value: strings.Join(o.GoExceptions(), ","), Separator: ","},
	}
}
