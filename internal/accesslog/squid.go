package accesslog

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sluice/internal/egress"
	"sluice/internal/track"
)

// squid writes records in Squid's native access format.
type squid struct{}

func (squid) appendRecord(b []byte, r *record) []byte {
	if r.kind == leftOut {
		return appendSquidMissing(b, r.at, r.Client.Addr(), "refusals-left-out", r.left)
	}
	return appendSquid(b, &r.Record, r.at)
}

func (squid) appendLost(b []byte, lost uint64) []byte {
	return appendSquidMissing(b, time.Now(), netip.Addr{}, "records-lost", lost)
}

// appendSquid writes a record in Squid's native access format: time, elapsed
// milliseconds, client, result code and status, bytes sent to the client, method,
// URL, user, hierarchy and origin address, content type.
// https://wiki.squid-cache.org/Features/LogFormat
func appendSquid(b []byte, r *track.Record, end time.Time) []byte {
	b = append(squidTime(b, end), ' ')
	b = append(padded(b, r.Total.Milliseconds(), 6, ' '), ' ')
	b = append(r.Client.Addr().AppendTo(b), ' ')
	status := squidStatus(r)
	b = append(append(b, squidResult(r, status)...), '/')
	b = append(padded(b, int64(status), 3, '0'), ' ')
	b = append(strconv.AppendInt(b, r.Down, 10), ' ')
	b = append(append(b, squidMethod(r)...), ' ')
	b = append(appendURL(b, r), ' ')
	b = append(append(b, squidUser(r.User)...), ' ')
	return append(appendHierarchy(b, r), " -\n"...)
}

// appendSquidMissing writes a line of the same form about records that are not
// there, for the format has no place for messages.
func appendSquidMissing(b []byte, at time.Time, client netip.Addr, what string, n uint64) []byte {
	b = append(squidTime(b, at), "      0 "...)
	if client.IsValid() {
		b = client.AppendTo(b)
	} else {
		b = append(b, '-')
	}
	b = append(append(append(b, " NONE/000 0 NONE error:"...), what...), ':')
	return append(strconv.AppendUint(b, n, 10), " - HIER_NONE/- -\n"...)
}

func squidTime(b []byte, t time.Time) []byte {
	b = append(strconv.AppendInt(b, t.Unix(), 10), '.')
	return padded(b, int64(t.Nanosecond()/1e6), 3, '0')
}

// padded appends a number with a least width.
func padded(b []byte, n int64, width int, with byte) []byte {
	var room [20]byte
	digits := strconv.AppendInt(room[:0], n, 10)
	for range width - len(digits) {
		b = append(b, with)
	}
	return append(b, digits...)
}

// squidResult tells a denial from the rest; Squid takes a request for credentials
// for one, too. It has no word for what passes in observe mode.
func squidResult(r *track.Record, status int) string {
	switch {
	case r.Decision == "deny" || status == http.StatusProxyAuthRequired:
		return "TCP_DENIED"
	case !r.Address.IsValid():
		return "NONE"
	case r.Protocol == track.HTTP:
		return "TCP_MISS"
	}
	return "TCP_TUNNEL"
}

// squidStatus gives a SOCKS5 tunnel the status that CONNECT would have had, for
// readers of this format know no other. What could not be read has none.
func squidStatus(r *track.Record) int {
	if r.Status != 0 || r.Protocol != track.SOCKS5 || r.Host == "" && r.Outcome != egress.AuthRequired.String() {
		return r.Status
	}
	if r.Outcome == egress.None.String() {
		return http.StatusOK
	}
	for _, k := range egress.Kinds() {
		if k.String() == r.Outcome {
			return k.Status()
		}
	}
	return 0
}

func squidMethod(r *track.Record) string {
	if r.Protocol == track.HTTP {
		return dash(word(r.Method))
	}
	return http.MethodConnect
}

func appendURL(b []byte, r *track.Record) []byte {
	switch {
	case r.Host == "" && r.Outcome == egress.None.String(): // asked of the proxy itself
		return append(append(b, "internal:"...), word(r.Path)...)
	case r.Host == "":
		return append(b, "error:invalid-request"...)
	}
	if r.Protocol == track.HTTP {
		b = append(b, "http://"...)
	}
	host := word(r.Host)
	if strings.IndexByte(host, ':') >= 0 {
		host = "[" + host + "]"
	}
	b = append(b, host...)
	if r.Protocol != track.HTTP || r.Port != 80 { // Squid leaves out a scheme's own port
		b = strconv.AppendInt(append(b, ':'), int64(r.Port), 10)
	}
	if r.Protocol == track.HTTP {
		b = append(b, word(r.Path)...)
	}
	return b
}

func appendHierarchy(b []byte, r *track.Record) []byte {
	if !r.Address.IsValid() {
		return append(b, "HIER_NONE/-"...)
	}
	return r.Address.Addr().AppendTo(append(b, "HIER_DIRECT/"...))
}

// squidUser keeps names apart that are written alike: "-" stands for none, and a
// percent sign for what is encoded.
func squidUser(name string) string {
	if name == "-" {
		return "%2D"
	}
	return dash(word(strings.ReplaceAll(name, "%", "%25")))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// word percent-encodes what would end a field or a line.
func word(s string) string {
	i := 0
	for i < len(s) && isWord(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; isWord(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func isWord(c byte) bool { return c > ' ' && c < 0x7f }
