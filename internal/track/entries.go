package track

// Entry is a live transaction under its identifier.
type Entry struct {
	ID ID
	Live
}

// Entries appends the live transactions to list, in no order. Whoever calls it again
// and again hands back its list, so that none is made anew.
func (t *Table) Entries(list []Entry) []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, l := range t.live {
		list = append(list, Entry{id, l})
	}
	return list
}
