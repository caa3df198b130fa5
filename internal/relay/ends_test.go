package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
)

const endBytes = 8 << 20

// playEnds dials the two addresses that it reads, sends endBytes each way and
// reads them; its parent relays between.
func playEnds() int {
	var a, b string
	fmt.Scan(&a, &b)
	var ends []*net.TCPConn
	for _, addr := range []string{a, b} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return 1
		}
		ends = append(ends, c.(*net.TCPConn))
	}
	errs := make(chan error, 4)
	for _, c := range ends {
		go func() { _, err := c.Write(make([]byte, endBytes)); errs <- err }()
		go func() { _, err := io.CopyN(io.Discard, c, endBytes); errs <- err }()
	}
	for range 4 {
		if <-errs != nil {
			return 1
		}
	}
	fmt.Println("moved")
	bufio.NewReader(os.Stdin).ReadString('!') // idle until the parent says so
	return 0
}
