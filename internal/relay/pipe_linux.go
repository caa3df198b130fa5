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

// mostPipes is how many pipes a loop has at most, the ones included that tunnels
// with full receivers hold. Whoever gets none is copied for.
const mostPipes = 128

// pipeShare: pipes of all loops take one in so many descriptors at most, for the
// others are for tunnels.
const pipeShare = 32

// pipesEach is how many pipes each of some loops may have.
func pipesEach(loops int) int32 {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return sparePipes
	}
	return int32(max(sparePipes, min(mostPipes, files.Cur/(2*pipeShare)/uint64(max(loops, 1)))))
}

// takePipe returns an empty pipe, to be given to putPipe or closePipe.
func (l *loop) takePipe() (pipe, bool) {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p, true
	}
	if l.piped.Load() >= l.mostPipes {
		return pipe{}, false
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return pipe{}, false
	}
	l.piped.Add(1)
	// Beyond fs.pipe-user-pages-soft a pipe stays small, which is slower and no more.
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return pipe{fds[0], fds[1]}, true
}

// putPipe takes an empty pipe back.
func (l *loop) putPipe(p pipe) {
	if len(l.pipes) < sparePipes {
		l.pipes = append(l.pipes, p)
	} else {
		l.closePipe(p)
	}
}

// closePipe drops a pipe with whatever is in it. Any goroutine may call it.
func (l *loop) closePipe(p pipe) {
	l.piped.Add(-1)
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
