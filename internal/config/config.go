// Package config turns a TOML file and command-line flags into one validated,
// immutable value with all defaults applied. Whatever is wrong is reported all
// at once, each with file, line, column and what to write instead; a
// configuration with anything wrong in it is never half applied.
//
// Opening listeners, reading password prompts, watching the file and acting on
// warnings are left to others. REFERENCE.md beside this file documents every
// key and flag.
package config

import (
	"time"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// DefaultPath is the file that is read, if it exists, when no other is named.
const DefaultPath = "/etc/sluice/sluice.toml"

// Config is a valid configuration. Nothing in it changes after Load; readers may
// share it between goroutines.
type Config struct {
	Path      string   // the file it came from; "" for none
	Open      bool     // the file says that the whole Internet is meant to be let in
	Mode      acl.Mode // of all rules, and of what none matches
	Listeners []Listener
	Admin     string      // "host:port", "unix:/path", or "" for none
	Rules     []Rule      // in order of decision; indexes are those of Policy
	Policy    *acl.Policy // compiled from Rules
	Users     []User
	Limits    Limits
	Server    Server
	Timeouts  Timeouts
	Egress    Egress
	Log       Log
	Warnings  []Warning // valid, but hardly meant; in the order of the file
}

// Listener is an address that clients connect to.
type Listener struct {
	Address  string // "host:port", ":port" for all addresses; port 0 lets the system choose
	Protocol Protocol
}

// Protocol is what a listener speaks.
type Protocol uint8

const (
	Auto   Protocol = iota // HTTP and SOCKS5, told apart by the first byte
	HTTP                   // CONNECT and absolute-form requests
	SOCKS5                 // RFC 1928
)

// String returns "auto", "http" or "socks5".
func (p Protocol) String() string {
	switch p {
	case HTTP:
		return "http"
	case SOCKS5:
		return "socks5"
	}
	return "auto"
}

// What a rule, [egress] and the presets are, the proxy has in common with other programs.
type (
	Rule    = sections.Rule // rates that are Unset are those of Limits
	Egress  = sections.Egress
	Prefer  = sections.Prefer
	Presets = sections.Presets
)

// The address family that is dialled first.
const (
	PreferAuto = sections.PreferAuto
	PreferIPv4 = sections.PreferIPv4
	PreferIPv6 = sections.PreferIPv6
)

// What is told of a file, and the quantities in it.
type (
	Error   = strict.Error
	Errors  = strict.Errors
	Warning = strict.Warning
	Rate    = strict.Rate
)

const (
	Unset     = strict.Unset     // not given: that of the limits
	Unlimited = strict.Unlimited // no limit
)

// User is somebody who may be named in rules.
type User struct {
	Name string
	Hash []byte // bcrypt
}

// Limits hold for each client: a source address, or a /64 of IPv6.
type Limits struct {
	Download   Rate    // origin to client, all the client's tunnels together; never Unset
	Upload     Rate    // client to origin, likewise
	Burst      int64   // bytes that may pass at once after a pause
	Handshakes int     // connections without a tunnel, at once
	Tunnels    int     // at once
	NewTunnels float64 // per second
}

// Server holds what concerns the process as a whole.
type Server struct {
	MaxHandshakes int           // connections without a tunnel, of all clients; 0: from RLIMIT_NOFILE
	MaxTunnels    int           // of all clients; 0: from RLIMIT_NOFILE
	Drain         time.Duration // how long live tunnels get after SIGTERM
	Recheck       bool          // a reload ends tunnels that the new rules would refuse
}

// Timeouts bound the phases of a tunnel.
type Timeouts struct {
	Handshake time.Duration // from accept to a complete request
	Dial      time.Duration // look-up and all addresses together
	Idle      time.Duration // without a byte in either direction
}

// Log says what is logged, how and where.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "json", "console" or "squid"
	Access string // "stdout", "syslog", "journald" or an absolute path
	// Interim is how often a long tunnel leaves a record of its progress; 0: never.
	Interim time.Duration
	// Refusals is how many records of refusals one client may leave, per second; 0:
	// all.
	Refusals float64
}
