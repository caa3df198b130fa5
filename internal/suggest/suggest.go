// Package suggest turns access records into the rules that they ask for: what was
// seen to pass shall pass, and little else. It reads Sluice's records in JSON and
// Squid's native format, keeps each client, user, host and port once, however long
// the logs are, and writes TOML for a configuration file. What it makes broader than
// what was seen is in three places, and nowhere else: a preset for two or more of its
// hosts that one client asked for, a domain for three or more names in it, and ports
// 80 and 443 for either of them.
//
// Finding the logs, and telling the user what went wrong, are left to the command.
package suggest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sluice/acl"
)

// Most is how many different requests are kept, of those that passed. Each takes some
// 300 bytes.
const Most = 500_000

// mostRefused is how many are kept of those that did not: a scan makes any number.
const mostRefused = 50_000

// mostAddresses is how many dialled addresses that are not public are told.
const mostAddresses = 1000

// ErrTooMany is the error of logs with more than Most different requests.
var ErrTooMany = fmt.Errorf("there are more than %d different requests: give less of the log at once, such as one day or one network's part", Most)

// key is what is kept once.
type key struct {
	client netip.Addr
	user   string
	host   acl.Host
	port   uint16
}

func (k key) request() acl.Request {
	return acl.Request{Client: k.client, User: k.user, Host: k.host, Port: k.port}
}

// verdict is what became of a request.
type verdict uint8

const (
	passed  verdict = iota // or is under way
	refused                // by a rule
	failed                 // for another reason
)

// entry is one record.
type entry struct {
	key
	verdict
	outcome  string     // of what did not pass: one word that no client can choose
	address  netip.Addr // dialled; the zero value for none
	underway bool       // a further record will follow
	at       time.Time
}

// tally is how often something was seen.
type tally struct {
	n       int
	last    time.Time
	outcome string
}

func (t tally) add(e *entry) tally {
	if !e.underway {
		t.n++
	}
	if !e.at.Before(t.last) {
		t.last, t.outcome = e.at, e.outcome
	}
	return t
}

// Seen is what logs tell of. Make it with New.
type Seen struct {
	passed    map[key]tally
	refused   map[key]tally // by rules
	failed    map[key]tally
	addresses map[netip.Addr]struct{} // dialled and not public
	records   int
	left      left
	most      int // Most, but in tests
}

// left is what was left out, in numbers.
type left struct {
	malformed int    // lines that are no record
	first     string // where the first of these is, as FILE:LINE
	others    int    // lines that tell of no request
	unread    int    // requests without a destination that could be read
	users     int    // requests of users whose names no file can have
	schemes   int    // requests of Squid's that Sluice cannot serve
	crowded   int    // requests refused or failed, past mostRefused different ones
}

// New returns a Seen that has seen nothing.
func New() *Seen {
	return &Seen{
		passed: make(map[key]tally), refused: make(map[key]tally), failed: make(map[key]tally),
		addresses: make(map[netip.Addr]struct{}), most: Most,
	}
}

// Passed tells how many records there were of requests that passed.
func (s *Seen) Passed() int { return sum(s.passed) }

func sum(m map[key]tally) (n int) {
	for _, t := range m {
		n += t.n
	}
	return n
}

func (s *Seen) add(e *entry) error {
	if !e.underway {
		s.records++
	}
	into, most := s.passed, s.most
	switch e.verdict {
	case refused:
		into, most = s.refused, mostRefused
	case failed:
		into, most = s.failed, mostRefused
	}
	t, known := into[e.key]
	if !known && len(into) >= most {
		if e.verdict == passed {
			return ErrTooMany
		}
		s.left.crowded++
		return nil
	}
	into[e.key] = t.add(e)
	if e.verdict == passed && e.address.IsValid() && len(s.addresses) < mostAddresses {
		if _, private := acl.NotPublic(e.address); private {
			s.addresses[e.address] = struct{}{}
		}
	}
	return nil
}

// Why a line is not taken for a record of a request.
var (
	errMalformed = errors.New("it is no record")
	errOther     = errors.New("it tells of no request")
	errUnread    = errors.New("it has no destination")
	errUser      = errors.New("its user cannot be in a file")
	errScheme    = errors.New("it is of a scheme that is not served")
)
