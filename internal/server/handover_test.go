package server

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Whoever connects to 127.0.0.1:p while :p takes it over has its connection in the queue
// of the one or the other. The kernel resets what is in the queue of a socket that is
// closed, and only who connects in the moment between the last look and the close is left
// to that.
func TestAListenerThatIsTakenOverUnderLoadServesWhatWaits(t *testing.T) {
	onSomePort(t, takenOver)
}

func takenOver(t *testing.T) (done bool) {
	r := run(t, base)
	free, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(free.Addr().String())
	free.Close()
	to := origin(t)
	const limits = "[limits]\ntunnels = 1000\nnew_tunnels = \"1000000/s\"\n"
	listen := func(address string) error {
		r.file.Store(strings.Replace(base, "127.0.0.1:0", address, 1) + limits)
		_, err := r.Reload(context.Background())
		return err
	}
	if listen("127.0.0.1:"+port) != nil {
		return false
	}
	var wg sync.WaitGroup
	var served, reset atomic.Int64
	over := make(chan struct{})
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				c, err := connectThrough("127.0.0.1:"+port, to)
				if err == nil {
					_, err = io.ReadFull(c, make([]byte, 5))
					c.Close()
				}
				if err != nil {
					reset.Add(1)
				}
				served.Add(1)
			}
		})
	}
	done = true
	const times = 20
	for i := 0; i < 2*times && done; i++ {
		address := ":" + port
		if i%2 == 1 {
			address = "127.0.0.1:" + port
		}
		if err := listen(address); errors.Is(err, syscall.EADDRINUSE) {
			done = false
		} else if err != nil {
			t.Error(err)
		}
	}
	close(over)
	wg.Wait()
	if n := reset.Load(); done && n > times/4 {
		t.Errorf("%d of %d connections were reset while the address was taken over %d times", n, served.Load(), times)
	}
	return done
}

// What comes to a listener through the proxy itself has the proxy's address, which the
// rules may trust more than the client's.
func TestAListenerIsNoDestinationWhileItComesAndWhileItGoes(t *testing.T) {
	r := run(t, base)
	free, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	hello(t, dial(t, r.addr(), origin(t))) // it serves, and needs the lock no more
	tries := func() (loops int, passed error) {
		for range 20 {
			c, err := connectThrough(r.addr(), address)
			if err == nil {
				c.Close()
				return loops, errors.New("it was reached")
			}
			if strings.Contains(err.Error(), " 403 ") {
				loops++
			}
		}
		return loops, nil
	}
	r.file.Store(strings.Replace(base, "[[rule]]", "[[listener]]\naddress = \""+address+"\"\n[[rule]]", 1))
	reloaded := make(chan error)
	r.mu.Lock() // the reload stops when its sockets are open
	go func() { _, err := r.Reload(context.Background()); reloaded <- err }()
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if loops, passed := tries(); passed != nil || loops == 0 {
		t.Errorf("while it comes: %v, %d loops", passed, loops)
	}
	r.mu.Unlock()
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	r.file.Store(base)
	go func() { _, err := r.Reload(context.Background()); reloaded <- err }()
	for over := false; !over; {
		if _, passed := tries(); passed != nil {
			t.Errorf("while it goes: %v", passed)
			<-reloaded
			return
		}
		select {
		case err := <-reloaded:
			if err != nil {
				t.Error(err)
			}
			over = true
		default:
		}
	}
}
