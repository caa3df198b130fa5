package socks

import (
	"errors"
	"net"
	"os"
	"time"

	"sluice/internal/crash"
)

// dialPatience is when somebody looks for the first time whether a client that
// waits for its dial is still there. Most dials are quicker and cost a timer, no
// goroutine.
const dialPatience = 100 * time.Millisecond

// watch calls left when the client closes or resets its connection. What it
// returns must be called before anything else reads from it. Behind early data only
// a reset can be seen. A panic in the watch ends as one of stop.
func watch(conn *net.TCPConn, left func()) (stop func()) {
	done := make(chan struct{})
	var panicked crash.Box
	timer := time.AfterFunc(dialPatience, func() {
		defer close(done)
		defer panicked.Catch()
		err := readable(conn)
		if err == nil {
			err = reset(conn)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			left()
		}
	})
	return func() {
		if timer.Stop() {
			return
		}
		conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; the answer's deadline is set anew
		<-done
		panicked.Raise()
	}
}
