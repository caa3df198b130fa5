package track

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// thing is live until it is killed.
type thing struct {
	t    *Table
	id   ID
	once sync.Once
	how  string
}

func add(t *Table) *thing {
	x := &thing{t: t, id: t.NewID()}
	t.Add(x.id, x)
	return x
}

func (x *thing) Snapshot() Record        { return Record{ID: x.id} }
func (x *thing) Bytes() (up, down int64) { return 0, 0 }
func (x *thing) Uncounted() Uncounted    { return Uncounted{} }

func (x *thing) Kill(how, _ string) {
	x.once.Do(func() { x.how = how; go x.t.Remove(x.id) })
}

func TestDrainEndsWithTheLastTransaction(t *testing.T) {
	table := NewTable()
	if err := table.Drain(context.Background()); err != nil {
		t.Errorf("an empty table: %v", err)
	}
	a, b := add(table), add(table)
	drained := make(chan error)
	go func() { drained <- table.Drain(context.Background()) }()
	table.Remove(a.id)
	c := add(table) // one more while somebody waits
	table.Remove(b.id)
	select {
	case <-drained:
		t.Error("drained with one left")
	case <-time.After(20 * time.Millisecond):
	}
	table.Remove(c.id)
	if err := <-drained; err != nil || table.Len() != 0 {
		t.Errorf("%v with %d left", err, table.Len())
	}
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	table := NewTable()
	x := add(table)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := table.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if n := table.KillAll("drain"); n != 1 {
		t.Errorf("killed %d", n)
	}
	if err := table.Drain(context.Background()); err != nil || x.how != "drain" {
		t.Errorf("%v, killed by %q", err, x.how)
	}
}

func TestIdentifiersAreUniqueAndOfOneRun(t *testing.T) {
	table := NewTable()
	a, b := table.NewID(), table.NewID()
	if a == b || a>>40 != b>>40 || len(a.String()) != 16 {
		t.Errorf("%v and %v", a, b)
	}
	if other := NewTable().NewID(); other>>40 == a>>40 {
		t.Logf("two runs have the same prefix, which one in 16 million has")
	}
}

// Whoever drains is told of an end at any moment, and whoever lists gets each that
// stays.
func TestManyComeAndGoWhileSomebodyListsAndDrains(t *testing.T) {
	table := NewTable()
	stays := []*thing{add(table), add(table), add(table)}
	var coming, looking sync.WaitGroup
	over := make(chan struct{})
	looking.Go(func() {
		for {
			found := 0
			for _, l := range table.List() {
				for _, x := range stays {
					if l == Live(x) {
						found++
					}
				}
			}
			if found != len(stays) || len(table.Entries(nil)) < len(stays) {
				t.Errorf("a list has %d of those that stay", found)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	for range 4 {
		coming.Go(func() {
			for range 2000 {
				x := add(table)
				if table.Get(x.id) != Live(x) {
					t.Error("what was added cannot be found")
				}
				table.Remove(x.id)
				table.Remove(x.id)
			}
		})
	}
	coming.Wait()
	close(over)
	looking.Wait()
	if n := table.Len(); n != len(stays) {
		t.Errorf("%d are left", n)
	}
	for range 1000 {
		x := add(table)
		go table.Remove(x.id)
		for _, s := range stays {
			table.Remove(s.id)
		}
		if err := table.Drain(t.Context()); err != nil || table.Len() != 0 {
			t.Fatalf("drained %v with %d left", err, table.Len())
		}
	}
}
