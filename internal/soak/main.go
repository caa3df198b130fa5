//go:build linux

// Command soak runs Sluice for a long time among clients, origins and a name
// server that misbehave, and then counts: every byte that a client sent, an origin
// got and a record tells, every descriptor and every goroutine.
//
//	go run ./internal/soak            15 minutes
//	go run ./internal/soak -for 2m    a short one
//	go run ./internal/soak -race      of a Sluice with the race detector
//
// It runs from the root of the repository. As root it uses a network namespace of
// its own, and otherwise loopback. It prints a table, and exits with 1 if anything
// does not agree; what the log and the records said is kept then.
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
	"strings"
	"syscall"
	"time"

	"sluice/internal/netns"
)

// workDir is the variable that tells the soak, started anew in a network
// namespace, its directory.
const workDir = "SLUICE_SOAK_DIR"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	time    time.Duration // how long the load lasts
	workers int           // clients at once
	seed    uint64
	race    bool
	binary  string
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.DurationVar(&o.time, "for", 15*time.Minute, "`TIME` that the load lasts; what is under way ends after it")
	fs.IntVar(&o.workers, "clients", 150, "`NUMBER` of clients at once")
	fs.Uint64Var(&o.seed, "seed", 0, "`NUMBER` that decides about kinds and sizes; 0: of the clock")
	fs.BoolVar(&o.race, "race", false, "build Sluice with the race detector")
	fs.StringVar(&o.binary, "sluice", "", "`FILE` to soak; without it, what ./cmd/sluice builds")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return o, nil
}

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir := os.Getenv(workDir)
	switch {
	case dir != "":
		if err := netns.LoopbackUp(); err != nil {
			return err
		}
		return soak(o, dir, out)
	case os.Getuid() == 0:
		if dir, err = prepare(o); err != nil {
			return err
		}
		return netns.Again(args, workDir+"="+dir, errors.New("it did not go well"))
	}
	if dir, err = prepare(o); err != nil {
		return err
	}
	return soak(o, dir, out)
}

// prepare makes the directory that everything is in, and builds Sluice there.
func prepare(o options) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "sluice-soak-"); err != nil {
		return "", err
	}
	argv := []string{"go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "sluice"), "./cmd/sluice"}
	switch {
	case o.binary != "":
		argv = []string{"cp", o.binary, filepath.Join(dir, "sluice")}
	case o.race:
		argv = append(argv[:2:2], append([]string{"-race"}, argv[2:]...)...)
	}
	if text, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s, from the root of the repository: %w\n%s", strings.Join(argv, " "), err, text)
	}
	return dir, nil
}

// soak runs the whole and tells whether it was well.
func soak(o options, dir string, out io.Writer) error {
	s, err := newSoak(o, dir)
	if err != nil {
		return err
	}
	defer s.close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Fprintf(out, "soaking for %v, seed %d, in %s\n", o.time, o.seed, dir)
	s.load(stop)
	r, err := s.examine()
	if err != nil {
		return fmt.Errorf("%w; see %s", err, dir)
	}
	r.write(out)
	if n := r.faults.total; n > 0 {
		return fmt.Errorf("%d faults; records and log are in %s", n, dir)
	}
	return os.RemoveAll(dir)
}
