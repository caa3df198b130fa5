//go:build linux

package endtoend

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// Urgent data (RFC 9293, section 3.8.5) stands outside of the stream for who does
// not ask for it. The byte is left out; what is behind it arrives, and the tunnel
// ends as any other.
func TestUrgentDataStopsNoTunnel(t *testing.T) {
	const rounds = 4
	part := pattern(100_000)
	inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
		both(t, open, func(tun *tunnel, d direction) {
			raw, err := d.from.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range rounds {
					d.from.Write(part)
					raw.Write(func(fd uintptr) bool { return unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) == nil })
					d.from.Write(part)
				}
				d.from.CloseWrite()
			}()
			n, err := io.Copy(io.Discard, d.to)
			// One urgent byte that overtakes another becomes a part of the stream.
			if least := int64(2 * rounds * len(part)); n < least || n > least+rounds || err != nil {
				t.Errorf("%d bytes came of %d, %v", n, least, err)
			}
			d.to.Close()
			io.Copy(io.Discard, d.from)
			up, down := d.bytes(n, 0)
			tun.leaves(t, d.name, "fin", up, down)
		})
	})
}
