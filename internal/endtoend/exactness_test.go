//go:build linux

package endtoend

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestAHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
		both(t, open, func(tun *tunnel, d direction) {
			question, answer := []byte("question"), pattern(3<<20)
			d.from.Write(question)
			d.from.CloseWrite()
			reads(t, d.to, question) // and the end behind it
			go func() {
				for i := 0; i < len(answer); i += 1 << 20 {
					d.to.Write(answer[i : i+1<<20])
					time.Sleep(20 * time.Millisecond)
				}
				d.to.Close()
			}()
			reads(t, d.from, answer)
			up, down := d.bytes(int64(len(question)), int64(len(answer)))
			tun.leaves(t, d.name, "fin", up, down)
		})
	})
}

func TestAResetIsCarriedAsAReset(t *testing.T) {
	for name, before := range map[string]func(d direction) int64{
		"at once":                   func(direction) int64 { return 0 },
		"after a pause":             func(direction) int64 { time.Sleep(200 * time.Millisecond); return 0 },
		"behind bytes":              func(d direction) int64 { return say(d, "last words") },
		"behind bytes and a pause":  func(d direction) int64 { n := say(d, "last words"); time.Sleep(200 * time.Millisecond); return n },
		"behind the other's finish": func(d direction) int64 { d.to.CloseWrite(); io.Copy(io.Discard, d.from); return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
				both(t, open, func(tun *tunnel, d direction) {
					up, down := d.bytes(before(d), 0)
					reset(d.from)
					isReset(t, d.to)
					tun.leaves(t, d.name, "reset", up, down)
				})
			})
		})
	}
}

// say has one side write and the other read it, and tells how much came.
func say(d direction, words string) int64 {
	io.WriteString(d.from, words)
	n, _ := io.ReadFull(d.to, make([]byte, len(words)))
	return int64(n)
}

func TestAllThatWasWrittenArrivesBeforeTheEnd(t *testing.T) {
	for _, size := range []int{1, 16 << 10, 300_000, 8 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			sent := pattern(size)
			inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
				both(t, open, func(tun *tunnel, d direction) {
					written := make(chan error, 1)
					go func() {
						_, err := d.from.Write(sent)
						d.from.Close()
						written <- err
					}()
					time.Sleep(10 * time.Millisecond) // so that some of it waits in the proxy
					reads(t, d.to, sent)
					if err := <-written; err != nil {
						t.Errorf("write: %v", err)
					}
					d.to.Close()
					up, down := d.bytes(int64(size), 0)
					tun.leaves(t, d.name, "fin", up, down)
				})
			})
		})
	}
}

func TestATunnelWithoutAByteEndsInOrder(t *testing.T) {
	inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
		both(t, open, func(tun *tunnel, d direction) {
			d.from.Close()
			reads(t, d.to, nil)
			d.to.Close()
			tun.leaves(t, d.name, "fin", 0, 0)
		})
		both(t, open, func(tun *tunnel, d direction) { // half by half
			d.from.CloseWrite()
			reads(t, d.to, nil)
			d.to.CloseWrite()
			reads(t, d.from, nil)
			tun.leaves(t, d.name, "fin", 0, 0)
		})
		tun := open() // both at once
		tun.client.CloseWrite()
		tun.origin.CloseWrite()
		reads(t, tun.client, nil)
		reads(t, tun.origin, nil)
		tun.leaves(t, "client|origin", "fin", 0, 0)
	})
}

// TestAReaderThatStopsStopsItsWriter lets one side of each tunnel read nothing,
// and the other write until it can no more. What is on the way then is bounded by
// the kernel's buffers, and the proxy holds none of it in its own memory; the
// other direction goes on, and in the end not a byte is missing.
func TestAReaderThatStopsStopsItsWriter(t *testing.T) {
	inEveryTunnel(t, func(t *testing.T, open func() *tunnel) {
		const (
			tunnels   = 4 // by turns with the client and the origin as the one who writes
			perTunnel = 256 << 10
		)
		list, floods := make([]*tunnel, tunnels), make([]*flood, tunnels)
		for i := range list {
			list[i] = open()
		}
		heap := heapInUse()
		for i, tun := range list {
			floods[i] = startFlood(tun.directions()[i%2])
		}
		for _, f := range floods {
			f.wait(t)
		}
		if grown := heapInUse() - heap; grown > tunnels*perTunnel {
			t.Errorf("the heap grew by %d bytes while %d readers did not read", grown, tunnels)
		}
		for i, f := range floods {
			if n := say(direction{"", f.to, f.from}, "meanwhile"); n != int64(len("meanwhile")) {
				t.Error("the other direction stands still as well")
			}
			f.drain(t)
			list[i].sent(i%2, f.sent)
		}
		for _, tun := range list {
			tun.client.Close()
			reads(t, tun.origin, nil)
			tun.origin.Close()
		}
		var up, down, wantUp, wantDown int64
		for _, tun := range list {
			r := tun.record()
			up, down = up+int64(r["bytes_up"].(float64)), down+int64(r["bytes_down"].(float64))
			wantUp, wantDown = wantUp+tun.up, wantDown+tun.down
		}
		if up != wantUp || down != wantDown {
			t.Errorf("the records count %d up and %d down of %d and %d", up, down, wantUp, wantDown)
		}
	})
}

// sent adds what a flood in one direction has written, and the answer to it.
func (tun *tunnel) sent(direction int, n int64) {
	const answer = int64(len("meanwhile"))
	if direction == 0 {
		tun.up, tun.down = tun.up+n, tun.down+answer
	} else {
		tun.up, tun.down = tun.up+answer, tun.down+n
	}
}

// flood is a side that writes until nobody takes more.
type flood struct {
	direction
	sent int64
	sum  [sha256.Size]byte
	done chan struct{}
}

// stillness is how long a writer has been stopped when it is taken to be stopped
// for good.
const stillness = 400 * time.Millisecond

func startFlood(d direction) *flood {
	f := &flood{direction: d, done: make(chan struct{})}
	chunk := pattern(100_003)
	go func() {
		defer close(f.done)
		h := sha256.New()
		for f.sent < 2*mostOnTheWay() {
			f.from.SetWriteDeadline(time.Now().Add(stillness))
			n, err := f.from.Write(chunk)
			h.Write(chunk[:n])
			f.sent += int64(n)
			if err != nil && n == 0 {
				break
			}
		}
		f.from.SetWriteDeadline(time.Now().Add(patience))
		h.Sum(f.sum[:0])
	}()
	return f
}

// wait waits until the writer has been stopped.
func (f *flood) wait(t *testing.T) {
	t.Helper()
	<-f.done
	if most := mostOnTheWay(); f.sent > most {
		t.Errorf("a reader that does not read: its writer got rid of %d bytes, more than the %d that all buffers take", f.sent, most)
	}
}

// drain reads what is on the way, which is all that was written.
func (f *flood) drain(t *testing.T) {
	t.Helper()
	h := sha256.New()
	if n, err := io.CopyN(h, f.to, f.sent); err != nil || !bytes.Equal(h.Sum(nil), f.sum[:]) {
		t.Errorf("%d of %d bytes came, %v, or not the right ones", n, f.sent, err)
	}
}

// mostOnTheWay is what the buffers between two ends take at most: those of four
// sockets, at the size to which the kernel lets them grow, and a pipe.
func mostOnTheWay() int64 {
	const pipe = 1 << 20
	return 2*(largest("tcp_rmem")+largest("tcp_wmem")) + pipe
}

// largest is the third of the three sizes in a variable of the kernel.
func largest(name string) int64 {
	var least, usual, most int64
	b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err == nil {
		_, err = fmt.Fscan(strings.NewReader(string(b)), &least, &usual, &most)
	}
	if err != nil {
		return 8 << 20
	}
	return most
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
