package lab

import (
	"net"
	"os"
	"testing"
)

// LeaveOut skips the test with a sentence that says what is left out and why. In CI
// (the variable CI is "true"), where nobody reads skips, it fails the test instead.
func LeaveOut(t testing.TB, sentence string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("left out: " + sentence)
	}
	t.Skip("left out: " + sentence)
}

// NeedIPv6 leaves a test out where the loopback has no IPv6.
func NeedIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		LeaveOut(t, "what is only seen with IPv6, which is not here: "+err.Error())
	}
	_ = l.Close()
}
