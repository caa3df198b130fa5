package track

// Entry is a live transaction under its identifier.
type Entry struct {
	ID ID
	Live
}

// Entries appends the live transactions to list, as List has them. Whoever calls it again
// and again hands back its list, so that none is made anew.
func (t *Table) Entries(list []Entry) []Entry {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		for id, l := range p.live {
			list = append(list, Entry{id, l})
		}
		p.mu.Unlock()
	}
	return list
}
