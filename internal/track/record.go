package track

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// ID names one transaction in answers, logs and the admin interface. It is
// unique within a process and unlikely to repeat across restarts.
type ID uint64

// ParseID reads what String returns.
func ParseID(s string) (ID, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("%q is not an identifier of 16 hex digits", s)
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not an identifier of 16 hex digits", s)
	}
	return ID(n), nil
}

// String returns 16 hex digits.
func (id ID) String() string { return string(id.Append(nil)) }

// Append appends 16 hex digits.
func (id ID) Append(b []byte) []byte {
	const hex = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hex[id>>shift&15])
	}
	return b
}

// Protocol is how a client asked.
type Protocol uint8

const (
	Connect Protocol = iota + 1 // HTTP CONNECT
	HTTP                        // an absolute-form HTTP request
	SOCKS5                      // a SOCKS5 CONNECT command
)

// String returns the name in records: "connect", "http", "socks5".
func (p Protocol) String() string {
	switch p {
	case Connect:
		return "connect"
	case HTTP:
		return "http"
	case SOCKS5:
		return "socks5"
	}
	return ""
}

// Side is who ended a tunnel.
type Side uint8

const (
	Nobody Side = iota
	Client
	Origin
	Sluice // this proxy: idle timeout, drain, kill
)

// String returns the name in records: "client", "origin", "sluice" or "".
func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Origin:
		return "origin"
	case Sluice:
		return "sluice"
	}
	return ""
}

// Record is what one transaction leaves: a tunnel at its end, or one HTTP
// request. Its fields in logs are named and explained by package accesslog.
type Record struct {
	ID       ID
	Start    time.Time // when the request was read, or began if it could not be
	Listener string    // configured address
	Protocol Protocol
	Client   netip.AddrPort
	User     string // authenticated; "" for none

	Host   string // as asked for, in its one spelling; "" when it cannot be read
	Port   uint16
	Method string // HTTP requests only
	Path   string // HTTP requests only, without the query
	Status int    // HTTP status sent to the client; 0 for SOCKS5 or when none was sent

	Address  netip.AddrPort // the dialled one
	Rule     string         // the deciding one, or that in observe mode which let it pass; "" when there was none
	Decision string         // "allow", "deny", "observe", or "" when none was made
	Outcome  string         // "ok" or the name of what went wrong
	Reason   string         // the sentence told to the client, and the cause; before them what observe mode has to say

	Tries int           // addresses dialled
	DNS   time.Duration // resolution
	Dial  time.Duration // first connect to established
	Total time.Duration // from Start to the end

	// Up and Down are the bytes relayed, client to origin and back: of a tunnel all
	// that passed through it, of an HTTP request head and body as sent on.
	Up, Down int64
	ClosedBy Side   // who ended it first
	How      string // "fin", "reset", "idle", "drain", "killed", "recheck", "error"
}
