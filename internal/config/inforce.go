package config

import (
	"cmp"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// AppendJSON appends what is in force as a JSON object, keys and values as in a file,
// with all defaults filled in and passwords masked. A key without a default that
// nothing was written for is left out. Of a list of more than a thousand items, or
// behind tens of thousands of others, the first are written, and under the list's key
// with "_left_out" how many are not.
func (c *Config) AppendJSON(b []byte) []byte {
	return sections.AppendJSON(b, c.file())
}

// file returns the file that the configuration could have been read from, if it said
// everything.
func (c *Config) file() file {
	f := file{
		Open: c.Open, Mode: c.Mode.String(),
		Admin:    fileAdmin{c.Admin},
		Limits:   fileLimits{c.Limits.Download, c.Limits.Upload, strict.Size(c.Limits.Burst), c.Limits.Handshakes, c.Limits.Tunnels, strict.Frequency(c.Limits.NewTunnels)},
		Server:   fileServer{c.Server.MaxHandshakes, c.Server.MaxTunnels, c.Server.Drain, c.Server.Recheck},
		Timeouts: fileTimeouts{c.Timeouts.Handshake, c.Timeouts.Dial, c.Timeouts.Idle},
		Egress:   sections.EgressTable{Prefer: c.Egress.Prefer.String()},
		Log:      fileLog{c.Log.Level, c.Log.Format, c.Log.Access, c.Log.Interim, strict.Frequency(c.Log.Refusals)},
	}
	for _, l := range c.Listeners {
		f.Listener = append(f.Listener, fileListener{l.Address, l.Protocol.String()})
	}
	for _, r := range c.Rules {
		f.Rule = append(f.Rule, c.fileRule(r))
	}
	for _, u := range c.Users {
		f.User = append(f.User, fileUser{u.Name, string(u.Hash)})
	}
	for _, p := range c.Egress.AllowPrivate {
		f.Egress.AllowPrivate = append(f.Egress.AllowPrivate, p.String())
	}
	for _, r := range c.Egress.Resolver {
		f.Egress.Resolver = append(f.Egress.Resolver, r.String())
	}
	return f
}

func (c *Config) fileRule(r Rule) sections.RuleTable {
	f := r.Table()
	if r.Action == acl.Allow {
		f.Download = cmp.Or(f.Download, c.Limits.Download)
		f.Upload = cmp.Or(f.Upload, c.Limits.Upload)
	}
	return f
}
