package relay

import "testing"

// Thousands of tunnels that fall idle at the same time do not hold up the others.
func TestTunnelsThatFallIdleTogetherEndInPortions(t *testing.T) {
	l := &loop{}
	for range 3 * idleAtOnce {
		l.idle = append(l.idle, new(Tunnel))
	}
	for left := 3 * idleAtOnce; left > 0; left -= idleAtOnce {
		if len(l.idle) != left || l.patience(0) != 0 {
			t.Errorf("%d tunnels are left of %d, and the loop waits %d ms", len(l.idle), left, l.patience(0))
		}
		l.endIdle()
	}
	if l.patience(0) != -1 {
		t.Error("the loop waits for nothing")
	}
}
