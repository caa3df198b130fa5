package settings

import (
	"reflect"
	"time"

	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// The types below are the file as it is written: each key with its default and,
// where it has them, its bounds or its allowed words, all in the spelling of the
// file. Package strict decodes by these tags, and a test holds MIRROR.md to them.

type file struct {
	Open        bool                 `toml:"open" default:"false"`
	Listener    []fileListener       `toml:"listener"`
	Upstream    []fileUpstream       `toml:"upstream"`
	Cache       fileCache            `toml:"cache"`
	Rule        []fileRule           `toml:"rule"`
	Users       fileUsers            `toml:"users"`
	Transparent fileTransparent      `toml:"transparent"`
	Authority   fileAuthority        `toml:"authority"`
	Egress      sections.EgressTable `toml:"egress"`
	Timeouts    fileTimeouts         `toml:"timeouts"`
	Limits      fileLimits           `toml:"limits"`
	Server      fileServer           `toml:"server"`
	Log         fileLog              `toml:"log"`
	Admin       fileAdmin            `toml:"admin"`
}

type fileListener struct {
	Address     string   `toml:"address"`
	TLS         string   `toml:"tls" oneof:"off self files"`
	Certificate string   `toml:"certificate"`
	Key         string   `toml:"key"`
	Names       []string `toml:"names" list:"nonempty" example:"mirror.example.com"`
	Login       bool     `toml:"login" default:"false"`
}

type fileUpstream struct {
	Name         string   `toml:"name"`
	URL          string   `toml:"url"`
	Default      bool     `toml:"default" default:"false"`
	Username     string   `toml:"username"`
	PasswordFile string   `toml:"password_file"`
	PasswordEnv  string   `toml:"password_env"`
	Helper       string   `toml:"helper"`
	Realm        string   `toml:"realm"`
	CA           string   `toml:"ca"`
	Proxy        string   `toml:"proxy" secret:"yes"`
	TagTTL       ownTTL   `toml:"tag_ttl" min:"0s" max:"168h" example:"10m"`
	BlobHosts    []string `toml:"blob_hosts" list:"nonempty" example:"blobs.example.com"`
}

// ownTTL is an upstream's tag_ttl. 0: that of [cache]; negative: none at all.
type ownTTL time.Duration

// ReadTOML reads a duration.
func (t *ownTTL) ReadTOML(d strict.Decoder, at strict.Where, raw any, tag reflect.StructTag) {
	read := time.Duration(-1)
	if f := strict.ReadQuantity(raw, &read, tag, strict.ParseDuration); f != nil {
		d.Add(at, f)
	}
	if read == 0 {
		read = -1
	}
	*t = ownTTL(read)
}

type fileCache struct {
	Directory string        `toml:"directory" default:"/var/lib/sluice-mirror"`
	MaxSize   strict.Size   `toml:"max_size" default:"20GB" min:"1MB" max:"1000000GB"`
	TagTTL    time.Duration `toml:"tag_ttl" default:"1m" min:"0s" max:"168h"`
}

type fileRule struct {
	Name    string   `toml:"name"`
	Action  string   `toml:"action" oneof:"allow deny"`
	Clients []string `toml:"clients" list:"nonempty" example:"192.0.2.10"`
	Users   []string `toml:"users" list:"nonempty" example:"alice"`
	To      []string `toml:"to" list:"nonempty" example:"ghcr.io"`
	Private []string `toml:"private" list:"nonempty" example:"ghcr.io/acme/*"`
}

type fileUsers struct {
	File string `toml:"file"`
}

type fileTransparent struct {
	Address string               `toml:"address"`
	Rule    []sections.RuleTable `toml:"rule"`
}

type fileAuthority struct {
	Directory string `toml:"directory"`
}

type fileTimeouts struct {
	Handshake time.Duration `toml:"handshake" default:"10s" min:"100ms" max:"10m"`
	Dial      time.Duration `toml:"dial" default:"10s" min:"100ms" max:"10m"`
	Idle      time.Duration `toml:"idle" default:"1m" min:"1s" max:"24h"`
}

type fileLimits struct {
	Connections int `toml:"connections" default:"256" min:"1" max:"1000000"`
}

type fileServer struct {
	MaxConnections int           `toml:"max_connections" min:"4" max:"10000000"`
	Drain          time.Duration `toml:"drain" default:"8s" min:"0s" max:"1h"`
}

type fileLog struct {
	Level  string `toml:"level" default:"info" oneof:"debug info warn error"`
	Format string `toml:"format" default:"json" oneof:"json console"`
	Access string `toml:"access" default:"stdout"`
}

type fileAdmin struct {
	Address string `toml:"address" default:"127.0.0.1:5001"`
}
