package config

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// Flags are the command line's part of the configuration, as it was given. The
// zero value is a command line without flags.
type Flags struct {
	Config       string   // --config: the file; "" for DefaultPath, if it exists
	Listen       []string // --listen: auto listeners instead of the file's
	Allow        []string // --allow: clients of a rule before the file's
	To           []string // --to: destinations of that rule
	AllowPrivate []string // --allow-private: added to egress.allow_private
	Rate         string   // --rate: both ways, of that rule, or of [limits] without it
	Admin        *string  // --admin: "" turns it off; nil: not given
	LogFormat    string   // --log-format
}

// Load reads the file that the flags name, or DefaultPath if that exists, and
// lets the flags override it. The error is of type Errors.
func Load(f Flags, p Presets) (*Config, error) { return load(f, p, DefaultPath) }

func load(f Flags, p Presets, standard string) (*Config, error) {
	path := f.Config
	if path == "" {
		path = standard
	}
	text, err := strict.ReadFile(path)
	switch {
	case err == nil:
		return build(path, text, true, f, p)
	case f.Config == "" && errors.Is(err, fs.ErrNotExist):
		return build("", "", false, f, p)
	}
	return nil, Errors{err}
}

// Parse is Load for a text in memory; name stands for it in messages.
func Parse(name string, data []byte, f Flags, p Presets) (*Config, error) {
	return build(name, string(data), true, f, p)
}

// builder makes a Config and collects on the way all that is wrong.
type builder struct {
	file      file
	hasFile   bool
	flags     Flags
	config    *Config
	report    sections.Report
	rules     sections.Rules
	addresses sections.Addresses
}

func build(name, text string, hasFile bool, f Flags, p Presets) (*Config, error) {
	b := &builder{hasFile: hasFile, flags: f, config: &Config{Path: name}}
	if err := strict.Decode(text, &b.file, &b.report.Errors); err != nil {
		err.File = name
		return nil, Errors{err}
	}
	b.config.Open = b.file.Open
	b.config.Mode = strict.Choice(b.file.Mode, acl.Enforce, acl.Observe)
	b.addresses = sections.Addresses{Report: &b.report, Port: 3128, Admin: strict.TagOf[fileAdmin]("Address").Get("default"), Socket: "/run/sluice/admin.sock"}
	b.listeners()
	b.admin()
	b.users()
	b.takeRules(p)
	b.limits()
	b.config.Egress = b.file.Egress.Read(&b.report, "clients", f.AllowPrivate)
	b.log()
	if errs := b.report.Errors.Locate(name, text); errs != nil {
		return nil, errs
	}
	b.warn()
	b.config.Warnings = b.report.Warnings.Warnings(name, text)
	return b.config, nil
}

func (b *builder) limits() {
	l, s, t := b.file.Limits, b.file.Server, b.file.Timeouts
	b.config.Limits = Limits{l.Download, l.Upload, int64(l.Burst), l.Handshakes, l.Tunnels, float64(l.NewTunnels)}
	b.config.Server = Server{s.MaxHandshakes, s.MaxTunnels, s.Drain, s.Recheck}
	b.config.Timeouts = Timeouts{t.Handshake, t.Dial, t.Idle}
	if len(b.flags.Allow) > 0 {
		return // --rate is that of the rule
	}
	if rate := b.rateFlag(); rate != Unset {
		b.config.Limits.Download, b.config.Limits.Upload = rate, rate
	}
}

// rateFlag reads --rate; Unset when it is not given or wrong.
func (b *builder) rateFlag() Rate {
	var rate Rate
	if b.flags.Rate == "" {
		return Unset
	}
	if f := strict.ReadQuantity(b.flags.Rate, &rate, strict.TagOf[fileLimits]("Download"), strict.ParseRate); f != nil {
		b.report.Errors.Add(strict.OnFlag("--rate"), f)
	}
	return rate
}

func (b *builder) log() {
	l := b.file.Log
	b.config.Log = Log{l.Level, l.Format, l.Access, l.Interim, float64(l.Refusals)}
	if f := b.flags.LogFormat; f != "" {
		b.config.Log.Format = f
		if f := strict.OneOf(f, "format", strings.Fields(strict.TagOf[fileLog]("Format").Get("oneof"))); f != nil {
			b.report.Errors.Add(strict.OnFlag("--log-format"), f)
		}
	}
	sections.CheckLogPlace(&b.report, l.Access)
	at := strict.InFile("log", "interim")
	if l.Interim > 0 && l.Interim < minInterim && !b.report.Errors.Has(at) {
		b.report.Errors.Addf(at, `write at least "10s", or "0s" for none`, "interim is %s, and every long tunnel would leave a record that often", l.Interim)
	}
}

// minInterim is the least time between two records of one tunnel's progress: a
// full table of tunnels must not crowd out the other records.
const minInterim = 10 * time.Second
