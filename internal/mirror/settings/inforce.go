package settings

import (
	"time"

	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// AppendJSON appends what is in force as a JSON object, keys and values as in a file,
// with all defaults filled in and what may hold a password masked; see
// sections.AppendJSON.
func (c *Config) AppendJSON(b []byte) []byte { return sections.AppendJSON(b, c.file()) }

// String returns the time as the file has it; "" for that of [cache].
func (t ownTTL) String() string {
	switch {
	case t < 0:
		return "0s"
	case t == 0:
		return ""
	}
	return sections.DurationText(time.Duration(t))
}

// file returns the file that the configuration could have been read from, if it said
// everything.
func (c *Config) file() file {
	f := file{
		Open:      c.Open,
		Cache:     fileCache{c.Cache.Directory, strict.Size(c.Cache.MaxSize), c.Cache.TagTTL},
		Users:     fileUsers{c.UsersFile},
		Authority: fileAuthority{c.Authority},
		Egress:    sections.EgressTable{Prefer: c.Egress.Prefer.String()},
		Timeouts:  fileTimeouts{c.Timeouts.Handshake, c.Timeouts.Dial, c.Timeouts.Idle},
		Limits:    fileLimits{c.Limits.Connections},
		Server:    fileServer{c.Server.MaxConnections, c.Server.Drain},
		Log:       fileLog{c.Log.Level, c.Log.Format, c.Log.Access},
		Admin:     fileAdmin{c.Admin},
	}
	for _, l := range c.Listeners {
		f.Listener = append(f.Listener, fileListener{l.Address, l.TLS.String(), l.Certificate, l.Key, l.Names, l.Login})
	}
	for _, u := range c.Upstreams {
		f.Upstream = append(f.Upstream, fileUpstreamOf(u))
	}
	for _, r := range c.Rules {
		f.Rule = append(f.Rule, fileRule{r.Name, r.Action.String(), r.Clients, r.Users, r.To, r.Private})
	}
	if t := c.Transparent; t != nil {
		f.Transparent.Address = t.Address
		for _, r := range t.Rules {
			f.Transparent.Rule = append(f.Transparent.Rule, r.Table())
		}
	}
	for _, p := range c.Egress.AllowPrivate {
		f.Egress.AllowPrivate = append(f.Egress.AllowPrivate, p.String())
	}
	for _, r := range c.Egress.Resolver {
		f.Egress.Resolver = append(f.Egress.Resolver, r.String())
	}
	return f
}

func fileUpstreamOf(u Upstream) fileUpstream {
	f := fileUpstream{
		Name: u.Name, URL: u.URL.String(), Default: u.Default, Username: u.Username, PasswordFile: u.PasswordFile,
		PasswordEnv: u.PasswordEnv, Helper: u.Helper, Realm: u.Realm, CA: u.CA, TagTTL: ownTTL(u.TagTTL), BlobHosts: u.BlobHosts,
	}
	if u.TagTTL == 0 {
		f.TagTTL = -1
	}
	if u.Proxy != nil {
		f.Proxy = u.Proxy.String()
	}
	return f
}
