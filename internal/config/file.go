package config

import (
	"time"

	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// The types below are the file as it is written: each key with its default and,
// where it has them, its bounds or its allowed words, all in the spelling of the
// file. The decoder (package strict) works from these tags, and a test holds
// REFERENCE.md to them.

type file struct {
	Open     bool                 `toml:"open" default:"false"`
	Mode     string               `toml:"mode" default:"enforce" oneof:"enforce observe"`
	Listener []fileListener       `toml:"listener"`
	Admin    fileAdmin            `toml:"admin"`
	Rule     []sections.RuleTable `toml:"rule"`
	User     []fileUser           `toml:"user"`
	Limits   fileLimits           `toml:"limits"`
	Server   fileServer           `toml:"server"`
	Timeouts fileTimeouts         `toml:"timeouts"`
	Egress   sections.EgressTable `toml:"egress"`
	Log      fileLog              `toml:"log"`
}

type fileListener struct {
	Address  string `toml:"address"`
	Protocol string `toml:"protocol" default:"auto" oneof:"auto http socks5"`
}

type fileAdmin struct {
	Address string `toml:"address" default:"127.0.0.1:9128"`
}

type fileUser struct {
	Name     string `toml:"name"`
	Password string `toml:"password" secret:"yes"`
}

type fileLimits struct {
	Download   Rate             `toml:"download" default:"unlimited" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Upload     Rate             `toml:"upload" default:"unlimited" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Burst      strict.Size      `toml:"burst" default:"1MB" min:"4KiB" max:"1GiB"`
	Handshakes int              `toml:"handshakes" default:"256" min:"1" max:"1000000"`
	Tunnels    int              `toml:"tunnels" default:"1024" min:"1" max:"1000000"`
	NewTunnels strict.Frequency `toml:"new_tunnels" default:"200/s" min:"1/m" max:"1000000/s"`
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

type fileLog struct {
	Level    string           `toml:"level" default:"info" oneof:"debug info warn error"`
	Format   string           `toml:"format" default:"json" oneof:"json console squid"`
	Access   string           `toml:"access" default:"stdout"`
	Interim  time.Duration    `toml:"interim" default:"0s" min:"0s" max:"24h"`
	Refusals strict.Frequency `toml:"refusals" min:"1/m" max:"1000000/s" example:"60/m"`
}
