package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"time"

	"sluice/acl"
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

// maxFile is the longest file that is read, in bytes: some three million names.
const maxFile = 64 << 20

// Load reads the file that the flags name, or DefaultPath if that exists, and
// lets the flags override it. The error is of type Errors.
func Load(f Flags, p Presets) (*Config, error) { return load(f, p, DefaultPath) }

func load(f Flags, p Presets, standard string) (*Config, error) {
	path := f.Config
	if path == "" {
		path = standard
	}
	text, err := readFile(path)
	switch {
	case err == nil:
		return build(path, text, true, f, p)
	case f.Config == "" && errors.Is(err, fs.ErrNotExist):
		return build("", "", false, f, p)
	}
	var perr *fs.PathError
	e := &Error{File: path, Problem: "cannot be read: " + err.Error(), cause: err}
	if errors.As(err, &perr) {
		e.Problem = "cannot be read: " + perr.Err.Error()
	}
	return nil, Errors{e}
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text strings.Builder
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		text.Grow(int(min(info.Size(), maxFile) + 1)) // a long file is not copied as it grows
	}
	if _, err := io.Copy(&text, io.LimitReader(f, maxFile+1)); err != nil {
		return "", err
	}
	if text.Len() > maxFile {
		return "", fmt.Errorf("it is longer than %d MiB", maxFile>>20)
	}
	if text.Len() == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
		return "", errRead // and no wish for the defaults
	}
	return text.String(), nil
}

// errRead is that of a second reading of what can be read once.
var errRead = errors.New("it is a pipe that has nothing, or nothing any more")

// Parse is Load for a text in memory; name stands for it in messages.
func Parse(name string, data []byte, f Flags, p Presets) (*Config, error) {
	return build(name, string(data), true, f, p)
}

// builder makes a Config and collects on the way all that is wrong.
type builder struct {
	file    file
	hasFile bool
	flags   Flags
	presets Presets
	config  *Config
	errs    findings
	warns   findings
	from    []where // where each of config.Rules is written
	// endpoints are the addresses that are taken.
	endpoints []endpoint
}

func build(name, text string, hasFile bool, f Flags, p Presets) (*Config, error) {
	text = strings.TrimPrefix(text, "\ufeff") // editors on Windows begin a file with a byte order mark
	b := &builder{hasFile: hasFile, flags: f, presets: p, config: &Config{Path: name}}
	var err *Error
	if b.file, err = decode(text, &b.errs); err != nil {
		err.File = name
		return nil, Errors{err}
	}
	b.config.Open = b.file.Open
	b.config.Mode = choice(b.file.Mode, acl.Enforce, acl.Observe)
	b.listeners()
	b.admin()
	b.users()
	b.rules()
	b.limits()
	b.egress()
	b.log()
	if errs := b.errs.locate(name, text); errs != nil {
		return nil, errs
	}
	b.warn()
	for _, w := range b.warns.locate(name, text) {
		b.config.Warnings = append(b.config.Warnings, Warning{w.File, w.Line, w.Column, w.Problem, w.Fix})
	}
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
	if f := readQuantity(b.flags.Rate, &rate, tagOf[fileLimits]("Download"), ParseRate); f != nil {
		b.errs.add(onFlag("--rate"), f)
	}
	return rate
}

func (b *builder) log() {
	l := b.file.Log
	b.config.Log = Log{l.Level, l.Format, l.Access, l.Interim, float64(l.Refusals)}
	if f := b.flags.LogFormat; f != "" {
		b.config.Log.Format = f
		if f := oneOf(f, "format", strings.Fields(tagOf[fileLog]("Format").Get("oneof"))); f != nil {
			b.errs.add(onFlag("--log-format"), f)
		}
	}
	at := inFile("log", "access")
	if !isLogPlace(l.Access) && !b.errs.has(at) {
		b.errs.addf(at, `write "stdout", "syslog", "journald", or an absolute path such as "/var/log/sluice/access.log"`, "%q is no place for the access log", l.Access)
	}
	at = inFile("log", "interim")
	if l.Interim > 0 && l.Interim < minInterim && !b.errs.has(at) {
		b.errs.addf(at, `write at least "10s", or "0s" for none`, "interim is %s, and every long tunnel would leave a record that often", l.Interim)
	}
}

// minInterim is the least time between two records of one tunnel's progress: a
// full table of tunnels must not crowd out the other records.
const minInterim = 10 * time.Second

func isLogPlace(access string) bool {
	switch access {
	case "stdout", "syslog", "journald":
		return true
	}
	return strings.HasPrefix(access, "/")
}

// tagOf returns the tag of a field of one of the types in file.go.
func tagOf[T any](field string) reflect.StructTag {
	f, _ := reflect.TypeFor[T]().FieldByName(field)
	return f.Tag
}
