//go:build !unix

package server

import (
	"net"
	"time"
)

// spares are descriptors that are held back; here there are none.
type spares struct{}

const spareTime = time.Second

func (*spares) fill()        {}
func (*spares) close()       {}
func (*spares) plenty() bool { return true }

func (*spares) accept(*net.TCPListener, error) (*net.TCPConn, bool) { return nil, false }

// acceptable cannot be asked here.
func acceptable(*net.TCPListener) bool { return false }
