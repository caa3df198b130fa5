//go:build linux

package clients

import (
	"slices"
	"testing"

	"sluice/internal/lab"
)

// TestClients runs every program by the way of a host that is admitted by its
// address.
func TestClients(t *testing.T) {
	rows := slices.Concat(webRows(), languageRows(), packageRows(), registryRows())
	runRows(t, rows, func(b *bench) (*lab.Host, string) { return b.user, "lab" })
}

// runRows runs rows one after the other on one bench, from the host and by the
// rule that who names.
func runRows(t *testing.T, rows []row, who func(*bench) (from *lab.Host, rule string)) {
	t.Helper()
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.host()
	}
	b := newBench(t, names)
	b.stock(t, names)
	from, rule := who(b)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			lab.Need(t, lab.Needs{Programs: r.needs})
			c := &client{bench: b, from: from, rule: rule, host: r.host()}
			c.noWayAround(t)
			r.run(t, c)
			if strangers := b.origin.strangers(b.relay.Addr().String()); len(strangers) > 0 {
				t.Errorf("the origin was reached from %v, not from the relay alone", strangers)
			}
		})
	}
}
