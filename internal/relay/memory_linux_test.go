package relay

import "testing"

func TestMemoryIsGivenBackAfterGrowthAlone(t *testing.T) {
	var m memory
	defer m.stop()
	for _, c := range []struct {
		resting int
		give    bool
	}{
		{100, false}, // too few to bother
		{600, true},
		{650, false}, // much the same as before
		{600, false},
		{2000, true},
		{2100, false},
		{300, false}, // a wave that went
		{900, true},  // and another
	} {
		if m.timer != nil {
			m.timer.Stop()
			m.timer = nil
		}
		m.grown(c.resting)
		if (m.timer != nil) != c.give {
			t.Errorf("at %d tunnels: %v", c.resting, m.timer != nil)
		}
	}
}
