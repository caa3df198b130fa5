//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// record is what Sluice says of a tunnel or request.
type record struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	Outcome  string `json:"outcome"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Up       int64  `json:"bytes_up"`
	Down     int64  `json:"bytes_down"`
	ClosedBy string `json:"closed_by"`
	How      string `json:"closed_how"`
}

// ledger has the records by the number of their tunnel.
type ledger struct {
	of        map[uint32][]record
	strange   []record         // of no tunnel, though they name one
	nameless  map[string]int64 // refused ones of no tunnel, by outcome
	abandoned map[string]int64 // of dials that the client did not wait for, by outcome
	count     int
}

// readLedger reads all access logs in a directory.
func readLedger(dir string) (*ledger, error) {
	l := &ledger{of: map[uint32][]record{}, nameless: map[string]int64{}, abandoned: map[string]int64{}}
	files, err := filepath.Glob(filepath.Join(dir, "access.log*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, name := range files {
		if err := l.read(name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *ledger) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s: %w in %s", name, err, lines.Bytes())
		}
		l.enter(r)
	}
	return lines.Err()
}

func (l *ledger) enter(r record) {
	l.count++
	number, zone, ok := r.tunnel()
	switch {
	case zone == zoneAbandoned:
		l.abandoned[r.Outcome]++
	case ok:
		l.of[number] = append(l.of[number], r)
	case r.Outcome != "ok" && r.Up == 0:
		l.nameless[r.Outcome]++
	default:
		l.strange = append(l.strange, r)
	}
}

// tunnel reads the number of the tunnel that a record is about.
func (r record) tunnel() (number uint32, zone string, ok bool) {
	if _, zone, _ := strings.Cut(r.Host, "."); zone == zoneAbandoned+".test" {
		return 0, zoneAbandoned, true
	}
	if r.Protocol == "http" {
		n, err := strconv.ParseUint(strings.TrimPrefix(r.Path, "/"), 10, 32)
		return uint32(n), "", err == nil
	}
	if a, err := netip.ParseAddr(r.Host); err == nil {
		return numberOf(a), "", a.Is4() && a.As4()[0] == 127
	}
	number, zone, err := parseName(r.Host)
	return number, zone, err == nil
}
