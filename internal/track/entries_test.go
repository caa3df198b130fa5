package track

import "testing"

func TestEntriesAreThoseThatAreLive(t *testing.T) {
	table := NewTable()
	a, b := add(table), add(table)
	gone := add(table)
	table.Remove(gone.id)
	list := table.Entries(make([]Entry, 0, 8))
	if len(list) != 2 || cap(list) != 8 {
		t.Fatalf("%d in a list for %d", len(list), cap(list))
	}
	for _, e := range list {
		if e.ID != a.id && e.ID != b.id || e.Snapshot().ID != e.ID {
			t.Errorf("%v is %v", e.ID, e.Snapshot().ID)
		}
	}
}
