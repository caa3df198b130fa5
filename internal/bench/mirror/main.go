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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sluice/internal/bench/machine"
	"sluice/internal/netns"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// builtDir is the variable that tells the bench, started anew in a network
// namespace, where it had put what it measures.
const builtDir = "SLUICE_BENCH_DIR"

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
	only := fs.String("row", "", "`NAMES` of rows, with commas between: "+strings.Join(rowNames(), ", ")+"; all if empty")
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
	o.rows, err = choose(*only)
	return o, err
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
	if err := build(filepath.Join(dir, builtMirror), o.binary); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		return netns.Again(args, builtDir+"="+dir, errors.New("ended early"))
	}
	return measureAll(o, dir, log)
}

// builtMirror is the file name of what is measured.
const builtMirror = "sluice-mirror"

// build compiles the mirror as for a release.
func build(to, binary string) error {
	argv := []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, "./cmd/sluice-mirror"}
	if binary != "" {
		argv = []string{"cp", binary, to}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s, from the root of the repository: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- b.measureRows() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
