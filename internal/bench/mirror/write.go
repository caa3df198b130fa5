//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"sluice/internal/bench/harness"
	"sluice/internal/bench/machine"
	"sluice/internal/bench/report"
)

// measureRows measures and keeps row after row: what is interrupted keeps what it has.
func (b *bench) measureRows() error {
	book := report.Book{Dir: b.out, Subjects: []string{us, them}, Rows: harness.Names(rows()), Page: page}
	for _, r := range b.rows {
		began := time.Now()
		lines, err := r.measure(b)
		if err != nil {
			return fmt.Errorf("row %s: %w", r.name, err)
		}
		if _, err := book.Keep(report.Row{Name: r.name, Title: r.title, Setting: b.setting()}, lines); err != nil {
			return err
		}
		b.say("row %s took %v", r.name, time.Since(began).Round(time.Second))
	}
	return nil
}

func page(all *report.Results) string { return all.Page(introduction, method) }

func (b *bench) setting() report.Setting {
	versions := map[string]string{
		us: machine.Checkout(), "Go": strings.TrimPrefix(runtime.Version(), "go"), them: machine.Version(them),
	}
	if b.binary != "" {
		versions[us] = "as given"
	}
	return report.Setting{
		Date: time.Now().UTC().Format(time.DateOnly), Rounds: b.rounds, Machine: machine.Describe(), Versions: versions,
	}
}

const introduction = `# Measurements of the mirror

Written by ` + "`make bench-mirror`" + `, which measures sluice-mirror beside Debian's
docker-registry as a pull-through cache; ` + "`make bench-mirror ROW=warm`" + ` measures one row.

A cell has the median over all rounds, and the least and the greatest round in
parentheses. A ratio is sluice-mirror's figure divided by docker-registry's of the same
round; but for GB/s, below 1 is better.

`

const method = `
## How it is measured

- Everything runs on one machine over loopback and plain HTTP: the mirror in its own
  process, the clients and the upstream in another. As root the bench has a network
  namespace of its own, with the kernel's default sizes of buffers.
- The upstream is a registry that has one image in memory, of 4 layers of 32 MB of noise.
  It wants no token, and counts the bytes of the bodies that it sends.
- A client pulls by one connection: the manifest by its tag, then the configuration and
  each layer. It drops what it gets, without a look at digests.
- CPU time is the mirror's alone, by the kernel's clock of the process, until some time
  after the last client has gone when it has come to rest: what it writes to disk behind
  its clients' backs counts. A gigabyte is one delivered to clients.
- The mirrors are measured in turn, A B A B. First pulls have a fresh process and an empty
  directory each; cached ones a process that keeps running. The directories are on the
  machine's disk.
- sluice-mirror runs with its defaults, one rule, and JSON records to a file.
  docker-registry runs with its defaults and its log of requests, to a file too. It makes
  a request of its own to the upstream for each manifest by tag; sluice-mirror, by
  default, one a minute.
`
