package settings

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// Flags are the command line's part of the configuration, as it was given. The
// zero value is a command line without flags.
type Flags struct {
	Config       string   // --config: the file; "" for DefaultPath, if it exists
	Listen       []string // --listen: listeners instead of the file's
	Allow        []string // --allow: clients of a rule before the file's
	AllowPrivate []string // --allow-private: added to egress.allow_private
	TLSSelf      bool     // --tls-self: listeners that do not say otherwise have certificates of the mirror's own CA
	PlainHTTP    bool     // --plain-http: listeners that do not say otherwise speak plain HTTP
	Cache        string   // --cache: the directory
	MaxSize      string   // --max-size: of the cache
	Upstream     []string // --upstream: NAME or NAME=URL, instead of the file's
	Proxy        string   // --proxy: the way to all upstreams
	Admin        *string  // --admin: "" turns it off; nil: not given
	LogFormat    string   // --log-format
}

// Load reads the file that the flags name, or DefaultPath if that exists, and
// lets the flags override it. The error is of type strict.Errors.
func Load(f Flags) (*Config, error) { return load(f, DefaultPath, false) }

// Check is Load for who asks whether a mirror can run by the configuration: it warns as
// well of what would keep one from starting here and now, by this process's user.
func Check(f Flags) (*Config, error) { return load(f, DefaultPath, true) }

func load(f Flags, standard string, trial bool) (*Config, error) {
	path := f.Config
	if path == "" {
		path = standard
	}
	text, err := strict.ReadFile(path)
	switch {
	case err == nil:
		return build(path, text, true, f, trial)
	case f.Config == "" && errors.Is(err, fs.ErrNotExist):
		return build("", "", false, f, trial)
	}
	return nil, strict.Errors{err}
}

// Parse is Load for a text in memory; name stands for it in messages.
func Parse(name string, data []byte, f Flags) (*Config, error) {
	return build(name, string(data), true, f, false)
}

// builder makes a Config and collects on the way all that is wrong.
type builder struct {
	file      file
	hasFile   bool
	flags     Flags
	config    *Config
	report    sections.Report
	rules     sections.Rules // those about pulls
	tunnels   sections.Rules // those of the transparent way
	addresses sections.Addresses
}

func build(name, text string, hasFile bool, f Flags, trial bool) (*Config, error) {
	b := &builder{hasFile: hasFile, flags: f, config: &Config{Path: name}}
	if err := strict.Decode(text, &b.file, &b.report.Errors); err != nil {
		err.File = name
		return nil, strict.Errors{err}
	}
	b.config.Open = b.file.Open
	b.addresses = sections.Addresses{Report: &b.report, Port: 5000, Admin: strict.TagOf[fileAdmin]("Address").Get("default"), Socket: "/run/sluice-mirror/admin.sock"}
	b.cache()
	b.listeners()
	b.transparent()
	b.admin()
	b.upstreams()
	b.takeRules()
	b.users()
	b.config.Egress = b.file.Egress.Read(&b.report, "upstreams", f.AllowPrivate)
	b.rest()
	if errs := b.report.Errors.Locate(name, text); errs != nil {
		return nil, errs
	}
	b.warn()
	if trial {
		b.warnStart()
	}
	b.config.Warnings = b.report.Warnings.Warnings(name, text)
	return b.config, nil
}

func (b *builder) errs() *strict.Findings  { return &b.report.Errors }
func (b *builder) warns() *strict.Findings { return &b.report.Warnings }

func (b *builder) cache() {
	c := b.file.Cache
	directory, at := c.Directory, strict.InFile("cache", "directory")
	if b.flags.Cache != "" {
		directory, at = b.flags.Cache, strict.OnFlag("--cache")
	}
	b.absolute(directory, at, "/var/lib/sluice-mirror")
	if b.flags.MaxSize != "" {
		f := strict.ReadQuantity(b.flags.MaxSize, &c.MaxSize, strict.TagOf[fileCache]("MaxSize"), func(s string) (strict.Size, error) {
			n, err := strict.ParseSize(s)
			return strict.Size(n), err
		})
		if f != nil {
			b.errs().Add(strict.OnFlag("--max-size"), f)
		}
	}
	b.config.Cache = Cache{directory, int64(c.MaxSize), c.TagTTL}
	b.config.Authority = b.file.Authority.Directory
	if b.config.Authority == "" {
		b.config.Authority = path.Join(directory, "authority")
		return
	}
	b.absolute(b.config.Authority, strict.InFile("authority", "directory"), "/etc/sluice/authority")
}

// absolute finds fault with a path that depends on where the process was started.
func (b *builder) absolute(name string, at strict.Where, example string) {
	if !path.IsAbs(name) && !b.errs().Has(at) {
		b.errs().Addf(at, "write an absolute path, such as "+strict.Show(example), "%s is not an absolute path", strict.Show(name))
	}
}

// admin takes the flag, the file's address or the default one. It comes after all
// listeners.
func (b *builder) admin() {
	address, at := b.file.Admin.Address, strict.InFile("admin", "address")
	if b.flags.Admin != nil {
		address, at = *b.flags.Admin, strict.OnFlag("--admin")
	}
	if address == "" || b.flags.Admin == nil && b.errs().Has(at) {
		return
	}
	b.config.Admin = b.addresses.TakeAdmin(address, at)
}

func (b *builder) rest() {
	t, l := b.file.Timeouts, b.file.Log
	b.config.Timeouts = Timeouts{t.Handshake, t.Dial, t.Idle}
	b.config.Limits = Limits{b.file.Limits.Connections}
	b.config.Server = Server{b.file.Server.MaxConnections, b.file.Server.Drain}
	b.config.Log = Log{l.Level, l.Format, l.Access}
	if word := b.flags.LogFormat; word != "" {
		b.config.Log.Format = word
		if f := strict.OneOf(word, "format", strings.Fields(strict.TagOf[fileLog]("Format").Get("oneof"))); f != nil {
			b.errs().Add(strict.OnFlag("--log-format"), f)
		}
	}
	sections.CheckLogPlace(&b.report, l.Access)
}
