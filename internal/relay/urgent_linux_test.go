package relay

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A byte of urgent data is left out, as read(2) does it by default, and holds up
// nothing that is behind it.
func TestUrgentDataHoldsUpNothing(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		for _, limited := range []bool{false, true} {
			o := Options{Poller: p}
			if limited {
				o.Up = bucket(t, 100<<20, 32<<10)
			}
			tun := start(t, o)
			raw, err := tun.client.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			half := random(200_000)
			go func() {
				for range 5 {
					tun.client.Write(half)
					raw.Write(func(fd uintptr) bool { return unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) == nil })
					tun.client.Write(half)
				}
				tun.client.CloseWrite()
			}()
			tun.origin.SetReadDeadline(time.Now().Add(20 * time.Second))
			n, err := io.Copy(io.Discard, tun.origin)
			if want := int64(10 * len(half)); n < want || n > want+5 || err != nil {
				t.Errorf("limited %v: %d bytes of %d, %v", limited, n, want, err)
			}
			if r := tun.close(t); r.Up != n {
				t.Errorf("counted %d of %d", r.Up, n)
			}
		}
	})
}
