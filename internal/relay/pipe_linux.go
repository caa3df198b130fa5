package relay

import "golang.org/x/sys/unix"

// pipe is what splice(2) needs between two sockets: it holds references to the
// kernel's pages, and no bytes of its own.
type pipe struct{ r, w int }

// pipeSize is how much a pipe takes, in bytes: the most that an unprivileged user
// may ask for (fs.pipe-max-size). Each segment may take a page's slot of it.
const pipeSize = 1 << 20

// sparePipes is how many empty pipes a loop keeps. One would do while receivers
// keep up.
const sparePipes = 2

func (l *loop) takePipe() (pipe, error) {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return pipe{}, err
	}
	// Beyond fs.pipe-user-pages-soft a pipe stays small, which is slower and no more.
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return pipe{fds[0], fds[1]}, nil
}

// putPipe takes an empty pipe back.
func (l *loop) putPipe(p pipe) {
	if len(l.pipes) < sparePipes {
		l.pipes = append(l.pipes, p)
	} else {
		p.close()
	}
}

func (p pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK

// splice moves at most n bytes between a pipe and a socket.
func splice(from, to, n int) (int, error) {
	for {
		k, err := unix.Splice(from, nil, to, nil, n, spliceFlags)
		if err != unix.EINTR {
			return int(k), err
		}
	}
}
