package forward

import (
	"strings"
	"testing"
)

func TestARecordsTimesAreOfTheMonotonicClock(t *testing.T) {
	p := newProxy(t, setup{})
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16"} {
		c := p.dial()
		c.send("%s", request)
		c.CloseWrite()
		c.rest()
		if r := p.record(); !strings.Contains(r.Start.String(), " m=") || r.Total <= 0 {
			t.Errorf("record %+v", r)
		}
	}
}
