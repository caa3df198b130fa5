package socks

import (
	"errors"
	"net"
	"os"
	"time"
)

// dialPatience is when somebody looks for the first time whether a client that
// waits for its dial is still there. Most dials are quicker and cost a timer, no
// goroutine.
const dialPatience = 100 * time.Millisecond

// watch calls left when the client closes or resets its connection. What it
// returns must be called before anything else reads from it. A client that sends
// early data is taken for one that stays.
func watch(conn *net.TCPConn, left func()) (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(dialPatience, func() {
		defer close(done)
		if err := readable(conn); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			left()
		}
	})
	return func() {
		if timer.Stop() {
			return
		}
		conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; the answer's deadline is set anew
		<-done
	}
}
