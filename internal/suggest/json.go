package suggest

import (
	"encoding/json"
	"net/netip"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
)

// jsonRecord is what matters here of a record in JSON.
type jsonRecord struct {
	Time     time.Time      `json:"time"`
	Msg      string         `json:"msg"`
	Client   string         `json:"client"`
	User     string         `json:"user"`
	Host     string         `json:"host"`
	Port     uint16         `json:"port"`
	Address  netip.AddrPort `json:"address"`
	Decision string         `json:"decision"`
	Outcome  string         `json:"outcome"`
}

func parseJSON(line []byte) (entry, error) {
	var r jsonRecord
	if json.Unmarshal(line, &r) != nil {
		return entry{}, errMalformed
	}
	e := entry{at: r.Time, address: r.Address.Addr().Unmap()}
	switch r.Msg {
	case "tunnel", "request":
	case "open", "progress":
		e.underway = true
	default:
		return entry{}, errOther
	}
	var err error
	if e.client, err = netip.ParseAddr(r.Client); err != nil {
		return entry{}, errMalformed
	}
	if r.Host == "" && r.Outcome == egress.None.String() {
		return entry{}, errOther // the proxy was asked for itself
	}
	if r.Host == "" || r.Port == 0 {
		return entry{}, errUnread
	}
	if e.host, err = acl.ParseHost(r.Host); err != nil {
		return entry{}, errMalformed
	}
	e.client = e.client.WithZone("").Unmap()
	e.user, e.port = r.User, r.Port
	allowed := r.Decision == acl.Allow.String() || r.Decision == acl.Observe.String()
	switch {
	case allowed && (r.Outcome == egress.None.String() || e.underway):
	case e.underway:
		return entry{}, errOther
	case r.Outcome == egress.RuleDenied.String():
		e.verdict, e.outcome = refused, r.Outcome
	default:
		e.verdict, e.outcome = failed, outcome(r.Outcome)
	}
	return e, nil
}

// outcome returns the name of a kind of failure, and of no other text.
func outcome(s string) string {
	for _, k := range egress.Kinds() {
		if k.String() == s {
			return s
		}
	}
	return "another outcome"
}
