//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// What very many rules may cost.
const (
	lookUpTime = 250.0 // nanoseconds
	loadTime   = 3.0   // seconds
	loadMemory = 300.0 // 10⁶ bytes
)

// rules: very many clients and destinations.
func rules(b *bench) (result, error) {
	res := result{title: fmt.Sprintf("Rules of %d client CIDRs and %d destination names", b.cidrs, b.names)}
	lines, err := b.lookUps()
	if err != nil {
		return res, err
	}
	started := &report.Line{Work: "process start to first byte served", Unit: "s"}
	held := &report.Line{Work: "memory (RSS) a second later", Unit: "MB"}
	peak := &report.Line{Work: "memory (RSS) at most", Unit: "MB"}
	reload := &report.Line{Work: "reload, until the new rules hold", Unit: "s"}
	again := &report.Line{Work: "memory (RSS) at most, reload included", Unit: "MB"}
	loading := []*report.Line{started, held, peak}
	reloading := []*report.Line{reload, again} // nil once it is known that it does not happen
	name := b.peers[us].Name
	for range b.rounds {
		if err := b.load(loading, reloading); err != nil {
			return res, err
		}
		if len(reload.Figures[name]) == 0 {
			reloading = nil // it will not come; waiting for it takes long
		}
	}
	started.AgainstFixed(name, loadTime, "3 s")
	peak.AgainstFixed(name, loadMemory, "300 MB")
	if len(reload.Figures[name]) > 0 {
		reload.AgainstFixed(name, loadTime, "3 s")
		again.AgainstFixed(name, loadMemory, "300 MB")
	}
	res.lines = append(append(lines, loading...), reload, again)
	return res, nil
}

// benchmarkLine is one result of go test -bench -benchmem.
var benchmarkLine = regexp.MustCompile(`^BenchmarkDecide/100000cidrs/1000000names/(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// lookUps runs the benchmark of package acl.
func (b *bench) lookUps() ([]*report.Line, error) {
	cmd := exec.Command(filepath.Join(b.dir, builtTest), "-test.run=^$", "-test.bench=^BenchmarkDecide$/^100000cidrs$",
		"-test.benchmem", "-test.benchtime=200ms", "-test.count="+strconv.Itoa(b.rounds))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	lines, err := parseLookUps(out, b.peers[us].Name)
	for _, l := range lines {
		b.say("%s: %s %s", l.Work, report.Number(report.Median(l.Figures[b.peers[us].Name])), l.Unit)
	}
	return lines, err
}

func parseLookUps(out []byte, name string) ([]*report.Line, error) {
	var lines []*report.Line
	allocs := &report.Line{Work: "allocations of a look-up, at most"}
	byName := make(map[string]*report.Line)
	most := 0.0
	for text := bufio.NewScanner(bytes.NewReader(out)); text.Scan(); {
		m := benchmarkLine.FindStringSubmatch(text.Text())
		if m == nil {
			continue
		}
		l := byName[m[1]]
		if l == nil {
			l = &report.Line{Work: "look-up, " + m[1], Unit: "ns"}
			byName[m[1]] = l
			lines = append(lines, l)
		}
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, err
		}
		l.Add(name, ns)
		most = max(most, n)
	}
	if lines == nil {
		return nil, fmt.Errorf("no benchmark of look-ups in the output of go test:\n%s", out)
	}
	for _, l := range lines {
		l.AgainstFixed(name, lookUpTime, "250 ns")
	}
	allocs.Add(name, most)
	return append(lines, allocs), nil
}

// reloadTime is how long a reload is waited for.
const reloadTime = 15 * time.Second

// load starts Sluice with very many rules, and has it read them again with a
// change: the way to the origin is barred then. Without reloading it only starts.
func (b *bench) load(loading, reloading []*report.Line) error {
	ours := b.peers[us]
	s, err := b.setup()
	if err != nil {
		return err
	}
	s.Rules = filepath.Join(s.Dir, "rules.toml")
	if err := b.writeRules(s, ""); err != nil {
		return err
	}
	r, err := b.running.Start(ours, s)
	if err != nil {
		return err
	}
	defer b.running.Stop(r)
	first, err := b.firstByte(r)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	u, err := r.Usage()
	if err != nil {
		return err
	}
	for i, v := range []float64{first.Seconds(), float64(u.RSS) / 1e6, float64(u.Peak) / 1e6} {
		loading[i].Add(ours.Name, v)
		b.say("%s: %s %s", loading[i].Work, report.Number(v), loading[i].Unit)
	}
	if reloading == nil {
		return nil
	}
	bar := fmt.Sprintf("[[rule]]\nname = \"barred\"\naction = \"deny\"\nports = [%d]\n", s.Origin)
	if err := b.writeRules(s, bar); err != nil {
		return err
	}
	if err := ours.Configure(s); err != nil {
		return err
	}
	took, held := b.reload(r)
	if !held {
		for _, l := range reloading {
			l.Lack(ours.Name, fmt.Sprintf("the new rules do not hold %v after SIGHUP", reloadTime))
		}
		return nil
	}
	u, err = r.Usage()
	reloading[0].Add(ours.Name, took.Seconds())
	reloading[1].Add(ours.Name, float64(u.Peak)/1e6)
	return err
}

// writeRules writes the large set of rules, with something before it.
func (b *bench) writeRules(s peers.Setup, before string) error {
	f, err := os.Create(s.Rules)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	w.WriteString(before)
	peers.WriteRule(w, "large", b.cidrs, b.names, s.Origin)
	return w.Flush()
}

// reload sends SIGHUP and waits until tunnels are refused.
func (b *bench) reload(r *peers.Process) (took time.Duration, held bool) {
	begun := time.Now()
	if r.Signal(syscall.SIGHUP) != nil {
		return 0, false
	}
	for time.Since(begun) < reloadTime {
		if b.clients.Once(via(r)) != nil {
			return time.Since(begun), r.Alive()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, false
}
