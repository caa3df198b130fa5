package lab

import (
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
