// Package settings turns the mirror's TOML file and command-line flags into one
// validated, immutable value with all defaults applied. Whatever is wrong is
// reported all at once, each with file, line, column and what to write instead.
//
// Opening listeners, reading certificates and credentials, and acting on
// warnings are left to others. MIRROR.md beside this file documents every key
// and flag.
package settings

import (
	"net/url"
	"time"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/access"
)

// DefaultPath is the file that is read, if it exists, when no other is named.
const DefaultPath = "/etc/sluice/mirror.toml"

// Config is a valid configuration of the mirror. Nothing in it changes after
// Load; readers may share it between goroutines.
type Config struct {
	Path        string     // the file it came from; "" for none
	Open        bool       // the file says that the whole Internet is meant to be let in
	Listeners   []Listener // at least one
	Upstreams   []Upstream // at least one; names and aliases occur once
	Cache       Cache
	Rules       []access.Rule // in order of decision; access.New takes them
	UsersFile   string        // htpasswd file with the passwords of Rules' users; "": none
	Transparent *Transparent  // nil: off
	Authority   string        // directory of the mirror's own CA, which may not exist yet
	Egress      sections.Egress
	Timeouts    Timeouts
	Limits      Limits
	Server      Server
	Log         Log
	Admin       string           // "host:port", "unix:/path", or "" for none
	Warnings    []strict.Warning // valid, but hardly meant; in the order of the file
}

// Listener is an address that clients pull from.
type Listener struct {
	Address     string   // "host:port", ":port" for all addresses; port 0 lets the system choose
	TLS         TLS      // what it speaks beneath HTTP
	Certificate string   // PEM file of the chain, with TLSFiles alone
	Key         string   // PEM file of the key, with TLSFiles alone
	Names       []string // host names and addresses in the certificate, with TLSSelf alone; nil: this host's
	Login       bool     // clients give name and password (Basic), against UsersFile
}

// TLS is where a listener has its certificate from.
type TLS uint8

const (
	TLSOff   TLS = iota // plain HTTP
	TLSSelf             // minted by the mirror's own CA
	TLSFiles            // from files, which are read anew when they change
)

// String returns "off", "self" or "files".
func (t TLS) String() string {
	switch t {
	case TLSSelf:
		return "self"
	case TLSFiles:
		return "files"
	}
	return "off"
}

// Upstream is a registry that is mirrored.
type Upstream struct {
	Name         string   // as image names say it, such as "docker.io" or "reg.example:5000"
	Aliases      []string // other names of it
	URL          *url.URL // https or http, perhaps with a path; no user, no query
	Default      bool     // paths that name no registry are of this one; true of one at most
	Username     string   // credentials of the mirror's own; "": none, or Helper's
	PasswordFile string
	PasswordEnv  string   // name of an environment variable
	Helper       string   // docker-credential-HELPER
	Realm        string   // host or host:port of another site that the credentials may go to
	CA           string   // PEM file of authorities that are trusted besides the system's
	Proxy        *url.URL // http, https or socks5; nil: it is dialled directly
	TagTTL       time.Duration
	BlobHosts    []string // hosts that it redirects clients to, for the transparent way
}

// Cache says where content is kept and how much of it.
type Cache struct {
	Directory string        // absolute; made at the start if it does not exist
	MaxSize   int64         // bytes
	TagTTL    time.Duration // how long a tag is taken for current
}

// Transparent is the CONNECT proxy that answers for the registries itself.
type Transparent struct {
	Address string          // as that of a Listener
	Rules   []sections.Rule // what else may be tunnelled, and how fast; indexes are those of Policy
	Policy  *acl.Policy     // compiled from Rules; with none nothing may
}

// Timeouts bound the phases of a request.
type Timeouts struct {
	Handshake time.Duration // from accept to a complete request
	Dial      time.Duration // look-up and all addresses of an upstream together
	Idle      time.Duration // without a byte in either direction
}

// Limits hold for each client: a source address, or a /64 of IPv6.
type Limits struct {
	Connections int // at once
}

// Server holds what concerns the process as a whole.
type Server struct {
	MaxConnections int           // of all clients; 0: from RLIMIT_NOFILE
	Drain          time.Duration // how long requests under way get after SIGTERM
}

// Log says what is logged, how and where.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "json" or "console"
	Access string // "stdout", "syslog", "journald" or an absolute path
}
