//go:build linux

package main

import (
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"sluice/internal/bench/harness"
	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u, err := newUpstream(100_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.close)
	return u
}

func TestClientsPullAllOfTheImageAndWhatIsSentIsCounted(t *testing.T) {
	u := startUpstream(t)
	var pulls atomic.Int64
	err := together(3, u.port, func(c *client) (bool, error) { return pulls.Add(1) < 6, c.pull(u) })
	if err != nil {
		t.Fatal(err)
	}
	image := u.size + int64(len(u.manifest))
	if want := pulls.Load() * image; u.sent.Load() != want || pulls.Load() < 6 {
		t.Errorf("%d pulls of %d bytes are %d bytes", pulls.Load(), image, u.sent.Load())
	}
}

func TestAnAnswerThatLacksBytesIsNoPull(t *testing.T) {
	u := startUpstream(t)
	last := u.order[len(u.order)-1]
	u.blobs[last] = u.blobs[last][:99_999]
	other := startUpstream(t) // which tells what is right
	for name, blob := range map[string][]byte{"cut short": u.blobs[last], "not there": nil} {
		u.blobs[last] = blob
		err := together(2, u.port, func(c *client) (bool, error) { return true, c.pull(other) })
		if err == nil || strings.Count(err.Error(), last) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpansAreDividedIntoTheUnitsOfTheTable(t *testing.T) {
	s := span{cpu: 500 * time.Millisecond, took: 2 * time.Second}
	for name, c := range map[string]struct{ got, want float64 }{
		"CPU seconds per GB": {s.perGB(2_000_000_000), 0.25},
		"GB per second":      {s.speed(2_000_000_000), 1},
	} {
		if math.Abs(c.got-c.want) > c.want*1e-9 {
			t.Errorf("%s: %v, not %v", name, c.got, c.want)
		}
	}
}

func TestMirrorsAreMeasuredInTurn(t *testing.T) {
	b := &bench{options: options{rounds: 3}, log: new(strings.Builder), mirrors: mirrors("")}
	var order []string
	l := new(report.Line)
	err := b.alternate([]*report.Line{l}, func(p peers.Peer) ([]float64, error) {
		order = append(order, p.Name[:1])
		return []float64{float64(len(order))}, nil
	})
	if got := strings.Join(order, ""); err != nil || got != "sdsdsd" {
		t.Errorf("in the order %s, %v", got, err)
	}
	if got := l.Figures[them]; len(got) != 3 || got[2] != 6 {
		t.Errorf("figures %v", l.Figures)
	}
}

func TestRowsAreChosenByName(t *testing.T) {
	if chosen, err := harness.Choose(rows(), "tags,cold"); err != nil || len(chosen) != 2 || chosen[0].name != "tags" {
		t.Errorf("%v, %v", chosen, err)
	}
	if _, err := harness.Choose(rows(), "cold,nonesuch"); err == nil {
		t.Error("a row that does not exist is chosen")
	}
}

func TestTheMirrorIsGivenTheUpstreamAndADirectoryOfItsOwn(t *testing.T) {
	s := peers.Setup{Dir: t.TempDir(), Port: 25000, Origin: 5001}
	argv, err := sluiceMirror("sluice-mirror", s)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Upstream []struct{ URL string }
		Cache    struct{ Directory string }
	}
	if _, err := toml.DecodeFile(argv[len(argv)-1], &file); err != nil {
		t.Fatal(err)
	}
	if file.Upstream[0].URL != "http://127.0.0.1:5001" || !strings.HasPrefix(file.Cache.Directory, s.Dir) {
		t.Errorf("%+v", file)
	}
}
