//go:build linux

// Command bench measures Sluice beside other proxies and a bare splice loop, on
// one machine over loopback, in alternation, and writes the figures down.
//
//	go run ./internal/bench                  every row
//	go run ./internal/bench -row idle,start  some
//	go run ./internal/bench -quick           a glance, good for no conclusion
//
// It runs from the root of the repository. The proxies must be installed (make
// bench does that) and are started by the bench alone. As root it uses a network
// namespace of its own; without, a row is left out and the settings of TCP are
// the machine's.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sluice/internal/bench/ends"
	"sluice/internal/bench/harness"
	"sluice/internal/bench/machine"
	"sluice/internal/bench/peers"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one kind of work, by the name that -row takes.
type row struct {
	name    string
	measure func(*bench) (result, error)
}

// Name is for -row.
func (r row) Name() string { return r.name }

func rows() []row {
	return []row{
		{"relay", relay},
		{"unprivileged", unprivileged},
		{"limit", limit},
		{"trips", trips},
		{"connect", connect},
		{"idle", idle},
		{"quiet", quiet},
		{"rules", rules},
		{"start", start},
	}
}

// keptIn is where results are unless -out says otherwise.
const keptIn = "internal/bench"

// options are the command line.
type options struct {
	sizes
	rows   []row
	others string // names of peers, with commas between; "": all
	out    string
	binary string
}

func parse(args []string) (options, error) {
	o := options{sizes: usual()}
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	only := fs.String("row", "", "`NAMES` of rows, with commas between: "+strings.Join(harness.Names(rows()), ", ")+"; all if empty")
	quick := fs.Bool("quick", false, "small sizes and two rounds")
	fs.StringVar(&o.others, "peer", "", "`NAMES` of peers beside Sluice and the floor, with commas between; all if empty")
	fs.StringVar(&o.out, "out", keptIn, "`DIR` for RESULTS.md, results.json and results.svg")
	fs.StringVar(&o.binary, "sluice", "", "`FILE` to measure as Sluice; without it, what ./cmd/sluice builds")
	rounds := fs.Int("rounds", 0, "`NUMBER` of times that everything is measured (default 5)")
	window := fs.Duration("window", 0, "`TIME` that a busy proxy is measured for (default 1s)")
	tunnels := fs.Int("tunnels", 0, "`NUMBER` of idle tunnels (default 5000)")
	hold := fs.Duration("hold", 0, "`TIME` that they are held (default 10s)")
	fs.Parse(args)
	if *quick {
		o.sizes = small()
	}
	override(&o.rounds, *rounds)
	override(&o.window, *window)
	override(&o.idle, *tunnels)
	override(&o.hold, *hold)
	if o.others != "" && o.out == keptIn {
		return o, fmt.Errorf("figures of some peers are not kept in %s: name another directory by -out", keptIn)
	}
	var err error
	o.rows, err = harness.Choose(rows(), *only)
	return o, err
}

func override[T int | time.Duration](to *T, v T) {
	if v > 0 {
		*to = v
	}
}

func run(args []string, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return harness.Run(args,
		func(dir string) error { return build(dir, o.binary) },
		func(dir string) error { return measureAll(o, dir, log) })
}

// What is built, by file name.
const (
	builtSluice = "sluice"
	builtFloor  = "floor"
	builtTest   = "acl.test" // the benchmark of look-ups
)

// build compiles the floor, and Sluice as for a release.
func build(dir, binary string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	return harness.Build(
		[]string{"gcc", "-O2", "-pthread", "-o", in(builtFloor), "internal/bench/floor/floor.c"},
		[]string{"go", "test", "-c", "-o", in(builtTest), "./acl"},
		harness.Release(dir, builtSluice, binary))
}

// measureAll measures the rows of o, with what was built in dir.
func measureAll(o options, dir string, log io.Writer) error {
	b, err := newBench(o, dir, log)
	if err != nil {
		return err
	}
	defer b.running.Close()
	return harness.UntilStopped(func() error { return b.measureRows(o) })
}

func (b *bench) measureRows(o options) error {
	for _, r := range o.rows {
		if r.name == "unprivileged" && os.Getuid() != 0 {
			b.say("left out: row %s, for it compares root with nobody", r.name)
			continue
		}
		began := time.Now()
		result, err := r.measure(b)
		if err != nil {
			return fmt.Errorf("row %s: %w", r.name, err)
		}
		// After each row: what is interrupted keeps what it has.
		if err := b.keep(o.out, r.name, result); err != nil {
			return err
		}
		b.say("row %s took %v", r.name, time.Since(began).Round(time.Second))
	}
	return nil
}

// newBench opens both ends.
func newBench(o options, dir string, log io.Writer) (*bench, error) {
	// One for each thread of the ends, and some: a loop that returns from the
	// kernel shall not wait until another gives up its turn.
	runtime.GOMAXPROCS(8)
	files, err := machine.Files()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, log: log, dir: dir, files: files}
	b.peers = peers.All(filepath.Join(dir, builtSluice), filepath.Join(dir, builtFloor))
	if o.others != "" {
		named := strings.Split(o.others, ",")
		b.peers = append(b.peers[:other], slices.DeleteFunc(b.peers[other:], func(p peers.Peer) bool { return !slices.Contains(named, p.Name) })...)
	}
	if b.origin, err = ends.NewOrigin(); err != nil {
		return nil, err
	}
	if b.clients, err = ends.NewClients(b.origin); err != nil {
		b.origin.Close()
		return nil, err
	}
	return b, nil
}
