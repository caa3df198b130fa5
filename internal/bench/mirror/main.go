//go:build linux

// Command mirror measures sluice-mirror beside docker-registry as a pull-through cache,
// on one machine over loopback and plain HTTP, in alternation, and writes the figures
// down.
//
//	go run ./internal/bench/mirror              every row
//	go run ./internal/bench/mirror -row warm    some
//	go run ./internal/bench/mirror -quick       a glance, good for no conclusion
//
// It runs from the root of the repository. docker-registry must be installed (make
// bench-mirror does that) and is started by the bench alone. As root it uses a network
// namespace of its own; without, the settings of TCP are the machine's.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"sluice/internal/bench/harness"
	"sluice/internal/bench/machine"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// keptIn is where results are unless -out says otherwise.
const keptIn = "internal/bench/mirror"

// options are the command line.
type options struct {
	rounds int
	layer  int           // bytes of each of the image's layers
	window time.Duration // that a warm mirror is measured for, at least
	rows   []row
	out    string
	binary string
}

func parse(args []string) (options, error) {
	o := options{rounds: 5, layer: 32_000_000, window: 2 * time.Second}
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	only := fs.String("row", "", "`NAMES` of rows, with commas between: "+strings.Join(harness.Names(rows()), ", ")+"; all if empty")
	quick := fs.Bool("quick", false, "small sizes and two rounds")
	fs.StringVar(&o.out, "out", keptIn, "`DIR` for RESULTS.md and results.json")
	fs.StringVar(&o.binary, "sluice-mirror", "", "`FILE` to measure; without it, what ./cmd/sluice-mirror builds")
	rounds := fs.Int("rounds", 0, "`NUMBER` of times that everything is measured (default 5)")
	fs.Parse(args)
	if *quick {
		o.rounds, o.layer, o.window = 2, 4_000_000, 300*time.Millisecond
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	var err error
	o.rows, err = harness.Choose(rows(), *only)
	return o, err
}

func run(args []string, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return harness.Run(args,
		func(dir string) error { return harness.Build(harness.Release(dir, builtMirror, o.binary)) },
		func(dir string) error { return measureAll(o, dir, log) })
}

// builtMirror is the file name of what is measured.
const builtMirror = "sluice-mirror"

// measureAll measures the rows of o, with what was built in dir.
func measureAll(o options, dir string, log io.Writer) error {
	runtime.GOMAXPROCS(8) // as in the other bench: the ends shall not wait for each other
	if _, err := machine.Files(); err != nil {
		return err
	}
	b, err := newBench(o, dir, log)
	if err != nil {
		return err
	}
	defer b.close()
	return harness.UntilStopped(b.measureRows)
}
