package config

import (
	"time"

	"sluice/acl"
)

// The types below are the file as it is written: each key with its default and,
// where it has them, its bounds or its allowed words, all in the spelling of the
// file. The decoder (decode.go) works from these tags, and a test holds
// REFERENCE.md to them.

type file struct {
	Open     bool           `toml:"open" default:"false"`
	Mode     string         `toml:"mode" default:"enforce" oneof:"enforce observe"`
	Listener []fileListener `toml:"listener"`
	Admin    fileAdmin      `toml:"admin"`
	Rule     []fileRule     `toml:"rule"`
	User     []fileUser     `toml:"user"`
	Limits   fileLimits     `toml:"limits"`
	Server   fileServer     `toml:"server"`
	Timeouts fileTimeouts   `toml:"timeouts"`
	Egress   fileEgress     `toml:"egress"`
	Log      fileLog        `toml:"log"`
}

type fileListener struct {
	Address  string `toml:"address"`
	Protocol string `toml:"protocol" default:"auto" oneof:"auto http socks5"`
}

type fileAdmin struct {
	Address string `toml:"address" default:"127.0.0.1:9128"`
}

type fileRule struct {
	Name     string   `toml:"name"`
	Action   string   `toml:"action" oneof:"allow deny"`
	Mode     string   `toml:"mode" default:"enforce" oneof:"enforce observe"`
	Clients  []string `toml:"clients" list:"nonempty" example:"192.0.2.10"`
	Users    []string `toml:"users" list:"nonempty" example:"alice"`
	To       []string `toml:"to" list:"nonempty" example:"example.com"`
	Ports    ports    `toml:"ports" list:"nonempty"`
	Download Rate     `toml:"download" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Upload   Rate     `toml:"upload" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
}

type fileUser struct {
	Name     string `toml:"name"`
	Password string `toml:"password" secret:"yes"`
}

type fileLimits struct {
	Download   Rate      `toml:"download" default:"unlimited" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Upload     Rate      `toml:"upload" default:"unlimited" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Burst      size      `toml:"burst" default:"1MB" min:"4KiB" max:"1GiB"`
	Handshakes int       `toml:"handshakes" default:"256" min:"1" max:"1000000"`
	Tunnels    int       `toml:"tunnels" default:"1024" min:"1" max:"1000000"`
	NewTunnels frequency `toml:"new_tunnels" default:"200/s" min:"1/m" max:"1000000/s"`
}

type fileServer struct {
	MaxHandshakes int           `toml:"max_handshakes" min:"4" max:"1000000"`
	MaxTunnels    int           `toml:"max_tunnels" min:"1" max:"10000000"`
	Drain         time.Duration `toml:"drain" default:"8s" min:"0s" max:"1h"`
	Recheck       bool          `toml:"recheck" default:"false"`
}

type fileTimeouts struct {
	Handshake time.Duration `toml:"handshake" default:"10s" min:"100ms" max:"10m"`
	Dial      time.Duration `toml:"dial" default:"10s" min:"100ms" max:"10m"`
	Idle      time.Duration `toml:"idle" default:"15m" min:"1s" max:"168h"`
}

type fileEgress struct {
	AllowPrivate []string `toml:"allow_private" example:"10.0.0.0/8"`
	Resolver     resolver `toml:"resolver" default:"system"`
	Prefer       string   `toml:"prefer" default:"auto" oneof:"auto ipv4 ipv6"`
}

type fileLog struct {
	Level    string        `toml:"level" default:"info" oneof:"debug info warn error"`
	Format   string        `toml:"format" default:"json" oneof:"json console squid"`
	Access   string        `toml:"access" default:"stdout"`
	Interim  time.Duration `toml:"interim" default:"0s" min:"0s" max:"24h"`
	Refusals frequency     `toml:"refusals" min:"1/m" max:"1000000/s" example:"60/m"`
}

// ports are those of a rule. A wrong one leaves a zero range, so that indexes
// stay those of the file.
type ports []acl.PortRange

// size is a number of bytes.
type size int64

// frequency is a number of events per second.
type frequency float64

// resolver are the servers to ask; none: the system's.
type resolver []string
