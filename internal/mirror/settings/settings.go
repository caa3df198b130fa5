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
	"sluice/internal/config"
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
	Rules       []Rule       // in order of decision
	UsersFile   string       // htpasswd file with the passwords of Rules' users; "": none
	Transparent *Transparent // nil: off
	Authority   string       // directory of the mirror's own CA, which may not exist yet
	Egress      config.Egress
	Timeouts    Timeouts
	Limits      Limits
	Server      Server
	Log         Log
	Admin       string           // "host:port", "unix:/path", or "" for none
	Warnings    []config.Warning // valid, but hardly meant; in the order of the file
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
	URL          *url.URL // https or http, without path, query and user
	Default      bool     // paths that name no registry are of this one; true of one at most
	Username     string   // credentials of the mirror's own; "": none, or Helper's
	PasswordFile string
	PasswordEnv  string   // name of an environment variable
	Helper       string   // docker-credential-HELPER
	Realm        string   // host or host:port of another site that the credentials may go to
	CA           string   // PEM file of authorities instead of the system's
	Proxy        *url.URL // http, https or socks5; nil: it is dialled directly
	TagTTL       time.Duration
	BlobHosts    []string // hosts that it redirects to, for the transparent way
}

// Cache says where content is kept and how much of it.
type Cache struct {
	Directory string        // absolute; made at the start if it does not exist
	MaxSize   int64         // bytes
	TagTTL    time.Duration // how long a tag is taken for current
}

// Rule is a rule about who may pull.
type Rule struct {
	acl.Rule          // To are registries; Ports do not matter
	Private  []string // repositories that its clients may have although they are not public, such as "ghcr.io/acme/*"
}

// Transparent is the CONNECT proxy that answers for the registries itself.
type Transparent struct {
	Address string        // as that of a Listener
	Rules   []config.Rule // what else may be tunnelled; indexes are those of Policy
	Policy  *acl.Policy   // compiled from Rules; with none nothing may
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

// Flags are the command line's part of the configuration, as it was given. The
// zero value is a command line without flags.
type Flags struct {
	Config    string   // --config: the file; "" for DefaultPath, if it exists
	Listen    []string // --listen: listeners instead of the file's
	Allow     []string // --allow: clients of a rule before the file's
	TLSSelf   bool     // --tls-self: --listen's listeners have certificates of the mirror's own CA
	PlainHTTP bool     // --plain-http: --listen's listeners speak plain HTTP beyond loopback too
	Cache     string   // --cache: the directory
	MaxSize   string   // --max-size: of the cache
	Upstream  []string // --upstream: NAME or NAME=URL, instead of the file's
	Proxy     string   // --proxy: the way to all upstreams
	Admin     *string  // --admin: "" turns it off; nil: not given
	LogFormat string   // --log-format
}
