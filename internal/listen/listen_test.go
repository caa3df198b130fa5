package listen

import (
	"net"
	"testing"

	"sluice/internal/lab"
)

func TestAllOfIPv4IsNotAllOfIPv6(t *testing.T) {
	lab.NeedIPv6(t)
	for _, c := range []struct {
		listen string
		both   bool
	}{{":0", true}, {"[::]:0", true}, {"0.0.0.0:0", false}} {
		ln, err := TCP(c.listen)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		for host, want := range map[string]bool{"127.0.0.1": true, "::1": c.both} {
			conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err == nil {
				conn.Close()
			}
			if (err == nil) != want {
				t.Errorf("%s over %s: %v", c.listen, host, err)
			}
		}
		ln.Close()
	}
}
