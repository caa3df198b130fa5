package accesslog

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/track"
)

// appendSquid writes a record in Squid's native access format: time, elapsed
// milliseconds, client, result code and status, bytes sent to the client, method,
// URL, user, hierarchy and origin address, content type.
// https://wiki.squid-cache.org/Features/LogFormat
func appendSquid(b []byte, r *track.Record, end time.Time) []byte {
	b = fmt.Appendf(b, "%d.%03d %6d %s %s/%03d %d %s %s %s %s -\n",
		end.Unix(), end.Nanosecond()/1e6, r.Total.Milliseconds(), r.Client.Addr(),
		squidResult(r), squidStatus(r), r.Down, squidMethod(r), squidURL(r), dash(word(r.User)), squidHierarchy(r))
	return b
}

func squidResult(r *track.Record) string {
	switch {
	case r.Decision == "deny":
		return "TCP_DENIED"
	case !r.Address.IsValid():
		return "NONE"
	case r.Protocol == track.HTTP:
		return "TCP_MISS"
	}
	return "TCP_TUNNEL"
}

// squidStatus gives a SOCKS5 tunnel the status that CONNECT would have had, for
// readers of this format know no other.
func squidStatus(r *track.Record) int {
	if r.Status == 0 && r.Protocol == track.SOCKS5 {
		if r.Outcome == "ok" {
			return http.StatusOK
		}
		if r.Decision == "deny" {
			return http.StatusForbidden
		}
	}
	return r.Status
}

func squidMethod(r *track.Record) string {
	if r.Protocol == track.HTTP {
		return dash(r.Method)
	}
	return "CONNECT"
}

func squidURL(r *track.Record) string {
	if r.Host == "" {
		return "error:invalid-request"
	}
	host := net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port)))
	if r.Protocol == track.HTTP {
		return "http://" + host + word(r.Path)
	}
	return host
}

func squidHierarchy(r *track.Record) string {
	if !r.Address.IsValid() {
		return "HIER_NONE/-"
	}
	return "HIER_DIRECT/" + r.Address.Addr().String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// word percent-encodes what would end a field or a line.
func word(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
