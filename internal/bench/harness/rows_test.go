package harness

import (
	"slices"
	"strings"
	"testing"
)

type named string

func (n named) Name() string { return string(n) }

func TestRowsAreChosenInTheOrderOfTheList(t *testing.T) {
	rows := []named{"relay", "idle", "start"}
	for list, want := range map[string]string{"": "relay idle start", "idle": "idle", "start,relay": "start relay"} {
		chosen, err := Choose(rows, list)
		if got := strings.Join(Names(chosen), " "); err != nil || got != want {
			t.Errorf("%q: %q, %v", list, got, err)
		}
	}
	for _, list := range []string{"idle,nonesuch", "idle,", "Idle"} {
		if chosen, err := Choose(rows, list); err == nil || !slices.Contains(strings.Fields(err.Error()), "start") {
			t.Errorf("%q: %v, %v, which does not say what there is", list, chosen, err)
		}
	}
}
