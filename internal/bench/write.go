//go:build linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"sluice/internal/bench/harness"
	"sluice/internal/bench/machine"
	"sluice/internal/bench/report"
)

// keep puts a row into the files of the directory, beside the rows they have.
func (b *bench) keep(dir, name string, res result) error {
	book := report.Book{Dir: dir, Subjects: namesOf(b.peers), Rows: harness.Names(rows()), Page: page}
	all, err := book.Keep(report.Row{Name: name, Title: res.title, Notes: res.notes, Setting: b.setting()}, res.lines)
	if err != nil {
		return err
	}
	var panels []report.Panel
	for _, p := range []struct{ title, row, work string }{
		{"CPU seconds per GB, 8 tunnels", "relay", "8 tunnels, down"},
		{"Memory of an idle tunnel, KiB", "idle", "process memory (PSS) of each"},
	} {
		if l := all.Line(p.row, p.work); l != nil {
			panels = append(panels, all.PanelOf(p.title, l))
		}
	}
	if panels == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "results.svg"), []byte(report.Plot(panels...)), 0o644)
}

const introduction = `# Measurements

Written by ` + "`make bench`" + `, which measures everything anew; ` + "`make bench ROW=idle`" + ` measures one row.

![CPU per GB and memory of an idle tunnel](results.svg)

A cell has the median over all rounds, and the least and the greatest round in
parentheses. A ratio is Sluice's figure divided by another of the same round, or
by a number; below 1 Sluice takes less. "floor" is [a bare splice
loop](floor/floor.c): two blocking threads for each tunnel and nothing else, no
handshake either. "-" is followed by why a proxy has no figure.

`

const method = `
## How it is measured

- Everything runs on one machine over loopback: the proxy in its own process, the
  clients and the origin in another, with one thread for each end. CPU time is the
  proxy's alone, with its children, by the kernel's clock of the process. What the
  kernel does to deliver a byte is charged to whoever sends it, so a proxy's figure
  contains its way to the next socket.
- As root the bench has a network namespace of its own: no packet filter, no other
  traffic, and the kernel's default sizes of buffers. Congestion control is Reno,
  for BBR would pace on loopback, which costs more than relaying.
- The proxies are measured in turn, A B C A B C, in a warm process each; for idle
  tunnels and starts in a fresh one.
- A busy tunnel's sender writes 256 KiB at a time, and its receiver drops bytes
  without copying them, so that neither is what the proxy waits for.
- Sluice runs with its defaults, a rule of 1,000 client CIDRs and 1,000 destination
  names with those in use last, limits for each client that are on but high enough
  not to bite, and JSON records to a file. The others have no such rules, nor
  limits unless the row is about them.
- Squid: one process (-N), no cache, log to a file. HAProxy: TCP mode with
  splicing forced (by splice-auto it does not splice once here, and takes four
  times the CPU time), pipes of 1 MiB, a thread for each core (its default), no
  log; it knows its one target and takes no handshake. tinyproxy: log of connections to a
  file. Dante: log of disconnects to a file. microsocks: its messages to a file.
  All packages are Debian's.
- Memory of an idle tunnel is the growth of PSS (smaps_rollup) of all processes,
  from after a first tunnel to the end of the hold, for tunnels that have made one
  round trip each. Kernel memory is the growth of Slab in /proc/meminfo.
- The quiet client and its origin have real-time priority, as if they were on
  machines of their own; they make a round trip each millisecond.
`

func page(all *report.Results) string { return all.Page(introduction, method) }

// setting is what is measured today, and on what.
func (b *bench) setting() report.Setting {
	versions := map[string]string{
		"Sluice": machine.Checkout(),
		"Go":     strings.TrimPrefix(runtime.Version(), "go"),
		"gcc":    machine.Output("gcc", "-dumpfullversion"),
	}
	if b.binary != "" {
		versions["Sluice"] = "as given"
	}
	for _, p := range b.peers {
		if p.Package != "" {
			versions[p.Name] = machine.Version(p.Package)
		}
	}
	return report.Setting{
		Date: time.Now().UTC().Format(time.DateOnly), Rounds: b.rounds,
		Machine: machine.Describe(), Versions: versions,
	}
}
