package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/presets"
	"sluice/internal/relay"
	"sluice/internal/server"
	"sluice/internal/systemd"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// given is a flag that cannot be empty: --rate "$RATE" with the variable unset
// is a mistake, not a wish for no limit.
func given(p *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("it is empty; leave the flag out instead")
		}
		*p = s
		return nil
	}
}

// configFlags are the flags that make up a configuration.
func configFlags(fs *flag.FlagSet) *config.Flags {
	f := &config.Flags{}
	fs.Func("config", "`FILE` to read; without it "+config.DefaultPath+" if that exists", given(&f.Config))
	fs.Var((*list)(&f.Listen), "listen", "`ADDR` to listen on for HTTP and SOCKS5, such as :3128; may be given again")
	fs.Var((*list)(&f.Allow), "allow", "`CIDR` or address of clients to admit; may be given again")
	fs.Var((*list)(&f.To), "to", "`DEST` that these clients may reach: host, *.example.com, CIDR, @preset; may be given again (default anywhere public)")
	fs.Var((*list)(&f.AllowPrivate), "allow-private", "`CIDR` of non-public addresses that may be dialled; may be given again")
	fs.Func("rate", "`RATE` of bytes for each client, each way, such as 50MB/s", given(&f.Rate))
	fs.Func("admin", "`ADDR` of the admin interface (default 127.0.0.1:9128); \"\" turns it off", func(s string) error {
		f.Admin = &s
		return nil
	})
	fs.Func("log-format", "`FORMAT` of logs and records: json, console or squid (default json)", given(&f.LogFormat))
	return f
}

// load reads the configuration that the flags describe.
func load(f *config.Flags) (*config.Config, error) {
	return config.Load(*f, config.Presets{Lookup: presets.Patterns, Names: presets.Names()})
}

// loadUnless loads, and returns nil when a signal comes that is to end the process: the
// file may be a pipe without a writer, or on a disk that hangs.
func loadUnless(f *config.Flags, ends <-chan os.Signal) (*config.Config, error) {
	type loaded struct {
		*config.Config
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		cfg, err := load(f)
		done <- loaded{cfg, err}
	}()
	select {
	case l := <-done:
		return l.Config, l.err
	case <-ends:
		return nil, nil
	}
}

// lastWord is how long an end at once may take.
const lastWord = 5 * time.Second

func serve(c *call) int {
	fs := c.flags()
	f := configFlags(fs)
	if code, done := c.parse(fs, 0); done {
		return code
	}
	// Before all that takes time: a log rotation must not end a process that is
	// still reading a long file. What comes early is done once the proxy stands, but
	// for an end, which comes at once.
	sig := listenForSignals()
	defer sig.stop()
	o, err := fromManager()
	if err != nil {
		return c.fault(err)
	}
	defer o.Notify.Close()
	defer o.Sockets.Close()
	cfg, err := loadUnless(f, sig.ends)
	if err != nil {
		return c.fault(err)
	}
	if cfg == nil {
		return exitOK
	}
	processors := runtime.GOMAXPROCS(0)
	o.Loops = relay.Loops(processors)
	runtime.GOMAXPROCS(processors + o.Loops)
	o.Stdout, o.Stderr, o.Version = c.stdout, c.stderr, versionText()
	o.Load = func() (*config.Config, error) { return load(f) }
	s, err := server.New(cfg, o)
	if err != nil {
		return c.fault(err)
	}
	return c.attend(s, sig)
}

// fromManager returns what a service manager has passed, if there is one.
func fromManager() (o server.Options, err error) {
	if o.Sockets, err = systemd.Inherited(); err != nil {
		return o, err
	}
	if o.Notify, err = systemd.NewNotifier(); err != nil {
		o.Sockets.Close()
	}
	return o, err
}

// attend serves until a signal ends it.
func (c *call) attend(s *server.Server, sig *signals) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cut, stopNow := context.WithCancel(context.Background())
	defer stopNow()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, cut) }()
	over := make(chan struct{})
	defer close(over)
	// Beside the ends, and each beside the other, for all may take long: rules may be
	// many, the file on a disk that hangs, and nobody may read stderr. The drain is no
	// end of them, for it may take an hour.
	whenever(sig.reopens, over, s.ReopenLogs)
	whenever(sig.reloads, over, func() {
		s.ReopenLogs()       // first, for a reload may take its time
		_, _ = s.Reload(ctx) // it says itself what came of it
	})
	var late <-chan time.Time
	for {
		select {
		case <-late: // the log itself may be what holds it up, so nothing is said
			return exitFault
		case err := <-served:
			if err != nil {
				return c.fault(err)
			}
			return exitOK
		case <-sig.ends:
			if ctx.Err() != nil && late == nil {
				stopNow() // a second time: at once
				late = time.After(lastWord)
			}
			stop()
		}
	}
}

// whenever does something for each signal, until over is closed.
func whenever(signals <-chan os.Signal, over <-chan struct{}, do func()) {
	go func() {
		for {
			select {
			case <-over:
				return
			case <-signals:
				do()
			}
		}
	}()
}

// signals are kept apart so that none crowds out another. Of several that ask for a
// reload while one is under way, one is done.
type signals struct{ ends, reloads, reopens chan os.Signal }

func listenForSignals() *signals {
	s := &signals{make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.ends, syscall.SIGTERM, os.Interrupt)
	signal.Notify(s.reloads, syscall.SIGHUP)
	if reopenSignal != syscall.SIGHUP {
		signal.Notify(s.reopens, reopenSignal)
	}
	// The Go runtime ends a process that writes to a stdout or stderr whose reader
	// is gone. Losing the log is no reason to cut every tunnel.
	signal.Ignore(syscall.SIGPIPE)
	return s
}

func (s *signals) stop() {
	signal.Stop(s.ends)
	signal.Stop(s.reloads)
	signal.Stop(s.reopens)
}
