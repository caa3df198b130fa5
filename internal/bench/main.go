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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/internal/bench/ends"
	"sluice/internal/bench/machine"
	"sluice/internal/bench/peers"
	"sluice/internal/netns"
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

func rowNames() []string {
	var list []string
	for _, r := range rows() {
		list = append(list, r.name)
	}
	return list
}

// builtDir is the variable that tells the bench, started anew in a network
// namespace, where it had put what it measures.
const builtDir = "SLUICE_BENCH_DIR"

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
	only := fs.String("row", "", "`NAMES` of rows, with commas between: "+strings.Join(rowNames(), ", ")+"; all if empty")
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
	o.rows, err = choose(*only)
	return o, err
}

func override[T int | time.Duration](to *T, v T) {
	if v > 0 {
		*to = v
	}
}

func choose(list string) ([]row, error) {
	if list == "" {
		return rows(), nil
	}
	var chosen []row
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, r := range rows() {
			if r.name == name {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no row %q, but %s", name, strings.Join(rowNames(), ", "))
		}
	}
	return chosen, nil
}

func run(args []string, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if dir := os.Getenv(builtDir); dir != "" {
		if err := machine.SettleIn(); err != nil {
			return err
		}
		return measureAll(o, dir, log)
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // unprivileged runs pass through
		return err
	}
	if err := build(dir, o.binary); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		return netns.Again(args, builtDir+"="+dir, errors.New("ended early"))
	}
	return measureAll(o, dir, log)
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
	commands := [][]string{
		{"gcc", "-O2", "-pthread", "-o", in(builtFloor), "internal/bench/floor/floor.c"},
		{"go", "test", "-c", "-o", in(builtTest), "./acl"},
	}
	if binary == "" {
		commands = append(commands, []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", in(builtSluice), "./cmd/sluice"})
	} else {
		commands = append(commands, []string{"cp", binary, in(builtSluice)})
	}
	for _, argv := range commands {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s, from the root of the repository: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return nil
}

// measureAll measures the rows of o, with what was built in dir.
func measureAll(o options, dir string, log io.Writer) error {
	b, err := newBench(o, dir, log)
	if err != nil {
		return err
	}
	defer b.close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- b.measureRows(o) }()
	select {
	case err := <-done:
		return err
	case s := <-stop:
		return fmt.Errorf("stopped by signal: %v", s)
	}
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
