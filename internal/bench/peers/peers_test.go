//go:build linux

package peers

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/config"
)

func TestSluiceIsGivenAValidConfiguration(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.toml")
	f, err := os.Create(rules)
	if err != nil {
		t.Fatal(err)
	}
	WriteRule(f, "large", 20_000, 2000, 8000)
	f.Close()
	for name, s := range map[string]Setup{
		"usual":        {},
		"limited":      {Limit: Limit{Rate: 100_000_000}},
		"one limited":  {Limit: Limit{Rate: 10_000_000, Client: "127.0.0.2"}},
		"others' rule": {Rules: rules},
	} {
		s.Dir, s.Port, s.Origin = t.TempDir(), 23128, 8000
		argv, err := sluice("sluice", s)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Flags{Config: argv[len(argv)-1]}, config.Presets{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// A warning here would be a fault that shows in the figures only.
		if n := len(cfg.Rules); n < 1 || n > 2 {
			t.Errorf("%s: %d rules", name, n)
		}
	}
}

func TestWhatRunsEndsWithTheBenchAndNothingStartsBehindIt(t *testing.T) {
	p := Server("sleep", "", func(Setup) ([]string, error) { return []string{"sleep", "600"}, nil })
	var running Running
	var started []*Process
	for range 3 {
		r, err := running.Start(p, Setup{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, r)
	}
	running.Stop(started[0])
	if started[0].Alive() || !started[1].Alive() {
		t.Error("stopping one does not end that one alone")
	}
	running.Close()
	running.Stop(started[1]) // by a row that is still at work
	for i, r := range started {
		if r.Alive() {
			t.Errorf("process %d runs on", i)
		}
	}
	if r, err := running.Start(p, Setup{Dir: t.TempDir()}); err == nil {
		r.Stop()
		t.Error("another is started behind the end")
	}
}

func TestCPUTimeIsThatOfTheProcess(t *testing.T) {
	own := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	ended, err := endedChildren(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before := own()
	got, err := cpu([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if after := own(); got-ended < before || got-ended > after {
		t.Errorf("%v is not from %v to %v", got-ended, before, after)
	}
	// PID_MAX_LIMIT is 1<<22.
	if _, err := cpu([]int{1<<22 + 1}); err == nil {
		t.Error("a process that does not exist has a clock")
	}
}

func TestUsageCountsDescriptorsAndPipes(t *testing.T) {
	before, err := usage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	after, err := usage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.Descriptors-before.Descriptors < 2 || after.Pipes-before.Pipes != 2 {
		t.Errorf("a pipe more: %+v, then %+v", before, after)
	}
	if after.PSS <= 0 || after.RSS <= 0 || after.Peak <= 0 {
		t.Errorf("memory %+v", after)
	}
	k, err := KernelMemory()
	if err != nil || k.Slab <= 0 || k.Other <= 0 {
		t.Errorf("kernel memory %+v, %v", k, err)
	}
}
