package suggest

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/acl"
)

// parseSquid reads a line of Squid's native access log: time, milliseconds, client,
// result and status, bytes, method, URL, user, hierarchy and peer, type.
// https://wiki.squid-cache.org/Features/LogFormat
func parseSquid(line string) (entry, error) {
	f := strings.Fields(line)
	if len(f) < 9 {
		return entry{}, errMalformed
	}
	at, err := strconv.ParseFloat(f[0], 64)
	if _, wrong := strconv.ParseInt(f[1], 10, 64); err != nil || wrong != nil || !(0 <= at && at < 1<<40) {
		return entry{}, errMalformed
	}
	e := entry{at: time.UnixMilli(int64(at * 1000)).UTC()}
	result, status, _ := strings.Cut(f[3], "/")
	if !isResult(result) || strings.Trim(status, "0123456789") != "" {
		return entry{}, errMalformed
	}
	if f[2] == "-" || strings.HasPrefix(result, "UDP_") || strings.HasPrefix(f[6], "error:") || strings.HasPrefix(f[6], "internal:") {
		return entry{}, errOther // Squid's own, a peer's question, or no request
	}
	if e.client, err = netip.ParseAddr(f[2]); err != nil {
		return entry{}, errMalformed
	}
	e.client = e.client.WithZone("").Unmap()
	if e.host, e.port, err = squidTarget(f[5], f[6]); err != nil {
		return entry{}, err
	}
	e.user = squidUser(f[7])
	how, peer, _ := strings.Cut(strings.TrimPrefix(f[8], "TIMEOUT_"), "/")
	reached := strings.TrimPrefix(how, "HIER_") != "NONE" || strings.Contains(result, "HIT")
	switch {
	case status == "407" && strings.Contains(result, "DENIED"):
		e.verdict, e.outcome = failed, "auth_required"
	case strings.Contains(result, "DENIED"):
		e.verdict, e.outcome = refused, f[3]
	case !reached:
		e.verdict, e.outcome = failed, f[3]
	default:
		if a, err := netip.ParseAddr(peer); err == nil && strings.Contains(how, "DIRECT") {
			e.address = a.WithZone("").Unmap()
		}
	}
	return e, nil
}

func isResult(s string) bool {
	return s != "" && len(s) < 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// squidTarget reads where a request goes.
func squidTarget(method, target string) (acl.Host, uint16, error) {
	authority, port := target, ""
	if method != "CONNECT" {
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok {
			return acl.Host{}, 0, errUnread
		}
		switch strings.ToLower(scheme) {
		case "http", "ws":
			port = "80"
		case "https", "wss":
			port = "443"
		default:
			return acl.Host{}, 0, errScheme
		}
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority = rest[:i]
		} else {
			authority = rest
		}
		authority = authority[strings.LastIndexByte(authority, '@')+1:]
	}
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	h, err := acl.ParseHost(host)
	if err != nil {
		return acl.Host{}, 0, errUnread
	}
	p, err := acl.ParsePort(port)
	if err != nil {
		return acl.Host{}, 0, errUnread
	}
	return h, p, nil
}

// squidUser reads a user's name, percent-encoded as Squid and Sluice do; old ones of
// Squid did not.
func squidUser(s string) string {
	if s == "-" {
		return ""
	}
	if name, err := url.PathUnescape(s); err == nil {
		return name
	}
	return s
}
