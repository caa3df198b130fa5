//go:build !unix

package forward

// poll is empty where sockets cannot be peeked at.
type poll struct{ err error }

func (p *poll) init(*reader) {}

func (r *reader) read() error {
	if r.buf == nil {
		r.buf = borrow(r.large)
	}
	n, err := r.conn.Read(r.buf[r.to:])
	r.to += n
	if n > 0 {
		return nil
	}
	if r.from == r.to {
		r.release()
	}
	return err
}

// wait returns at once, as if there were bytes: a client that leaves is noticed
// when it is written to.
func (r *reader) wait() error { return nil }

// quiet cannot be told here; a request that meets a closed connection is tried
// again if it may be.
func (r *reader) quiet() bool { return len(r.buffered()) == 0 }

// waitReset returns at once, see wait.
func (r *reader) waitReset() error { return nil }
