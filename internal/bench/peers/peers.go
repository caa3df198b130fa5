//go:build linux

// Package peers starts the proxies that are measured, each in a configuration of
// its own, and tells what their processes use. It opens no tunnel and knows
// nothing of rows and tables.
package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/bench/ends"
)

// Peer is a program that can be measured.
type Peer struct {
	Name    string          // as in tables
	Package string          // Debian's; "": built here
	Speaks  []ends.Protocol // how clients ask it for a tunnel; the first is preferred
	// NoLimits says why it cannot limit a client's bytes per second; "": it can.
	NoLimits string
	// NeverRoot says that it changes to a user of its own when root starts it.
	NeverRoot bool
	// Descriptors is how many a tunnel takes: more tunnels than the limit of open
	// files has room for are not tried.
	Descriptors int

	command func(s Setup) ([]string, error)
}

// Setup is what a peer is started with.
type Setup struct {
	Dir    string // for its files; anybody can write there
	Port   int    // to listen on, at 127.0.0.1
	Origin int    // the only destination, at 127.0.0.1
	Limit  Limit
	Rules  string // a file of rules for Sluice instead of the usual ones; "": those
	// Unprivileged: as nobody and without capabilities, not as root.
	Unprivileged bool
}

// Limit is what a client's tunnels may take together, each way.
type Limit struct {
	Rate   int    // bytes per second; 0: as good as unlimited
	Client string // the one address it holds for; "": any
}

// Server returns a peer that is no proxy: a program that is started by the command that
// command returns, and listens.
func Server(name, pkg string, command func(s Setup) ([]string, error)) Peer {
	return Peer{Name: name, Package: pkg, command: command}
}

// All returns Sluice, the floor, and the others, in the order of tables. The two
// paths are of programs that were built for it.
func All(sluicePath, floorPath string) []Peer {
	return []Peer{
		{Name: "Sluice", Speaks: []ends.Protocol{ends.Connect, ends.Socks5}, Descriptors: 2,
			command: func(s Setup) ([]string, error) { return sluice(sluicePath, s) }},
		{Name: "floor", Speaks: []ends.Protocol{ends.Plain}, Descriptors: 6, NoLimits: "no limits",
			command: func(s Setup) ([]string, error) {
				return []string{floorPath, fmt.Sprint(s.Port), fmt.Sprint(s.Origin)}, nil
			}},
		{Name: "HAProxy", Package: "haproxy", Speaks: []ends.Protocol{ends.Plain}, Descriptors: 2,
			NoLimits: "bandwidth limits came with 2.7", command: haproxy},
		{Name: "Squid", Package: "squid", Speaks: []ends.Protocol{ends.Connect}, Descriptors: 2,
			NeverRoot: true, command: squid},
		{Name: "tinyproxy", Package: "tinyproxy", Speaks: []ends.Protocol{ends.Connect}, Descriptors: 2,
			NoLimits: "no limits", command: tinyproxy},
		{Name: "Dante", Package: "dante-server", Speaks: []ends.Protocol{ends.Socks5}, Descriptors: 2,
			NoLimits: "its module for limits is sold apart", command: dante},
		{Name: "microsocks", Package: "microsocks", Speaks: []ends.Protocol{ends.Socks5}, Descriptors: 2,
			NoLimits: "no limits", command: microsocks},
	}
}

// Write puts a file into the setup's directory and returns its path.
func (s Setup) Write(name, text string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// HAProxy relays TCP to one server. Threads, one for each core, are its default.
// Splicing is forced: by "option splice-auto" it does not splice once here, and
// takes four times the CPU time; with pipes of the default size, twice.
func haproxy(s Setup) ([]string, error) {
	path, err := s.Write("haproxy.cfg", fmt.Sprintf(`global
	maxconn 6000
	tune.pipesize 1048576
defaults
	mode tcp
	option splice-request
	option splice-response
	timeout connect 10s
	timeout client 15m
	timeout server 15m
listen relay
	bind 127.0.0.1:%d
	server origin 127.0.0.1:%d
`, s.Port, s.Origin))
	return []string{"haproxy", "-db", "-f", path}, err
}

// Squid with nothing to cache, one process, and its log written by itself and
// not by a helper.
func squid(s Setup) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `http_port 127.0.0.1:%d
visible_hostname bench
http_access allow all
cache deny all
access_log stdio:%s/squid-access.log
cache_log %[2]s/squid-cache.log
coredump_dir %[2]s
pid_filename none
pinger_enable off
shutdown_lifetime 1 second
`, s.Port, s.Dir)
	if s.Limit.Rate > 0 {
		// It fills up once a second: its size is a second's worth.
		client := "all"
		if s.Limit.Client != "" {
			client = "limited"
			fmt.Fprintf(&b, "acl limited src %s\n", s.Limit.Client)
		}
		fmt.Fprintf(&b, "delay_pools 1\ndelay_class 1 1\ndelay_access 1 allow %s\ndelay_parameters 1 %d/%[2]d\n", client, s.Limit.Rate)
	}
	path, err := s.Write("squid.conf", b.String())
	return []string{"squid", "-N", "-f", path}, err
}

func tinyproxy(s Setup) ([]string, error) {
	path, err := s.Write("tinyproxy.conf", fmt.Sprintf(`Port %d
Listen 127.0.0.1
Timeout 600
MaxClients 6000
LogFile "%s/tinyproxy.log"
LogLevel Connect
`, s.Port, s.Dir))
	return []string{"tinyproxy", "-d", "-c", path}, err
}

func dante(s Setup) ([]string, error) {
	user := "root"
	if s.Unprivileged {
		user = "nobody"
	}
	path, err := s.Write("danted.conf", fmt.Sprintf(`logoutput: %s/danted.log
internal: 127.0.0.1 port = %d
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: %s
user.unprivileged: nobody
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 log: disconnect }
`, s.Dir, s.Port, user))
	return []string{"danted", "-f", path}, err
}

func microsocks(s Setup) ([]string, error) {
	return []string{"microsocks", "-i", "127.0.0.1", "-p", fmt.Sprint(s.Port)}, nil
}
