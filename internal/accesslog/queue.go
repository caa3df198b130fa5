package accesslog

import "sync"

// Bounds of what waits to be written. Together with the bytes that a slot takes
// they bound the memory of a log whose reader has stopped; see internal/config/FAULTS.md.
const (
	maxWaiting = 8192    // entries
	maxText    = 4 << 20 // bytes of text that entries hold
)

// queue stands between those that have something to log and the one that writes
// it. Nobody waits to get in: what finds it full is lost, and counted.
type queue[T any] struct {
	wake chan struct{} // has one when the writer shall look

	mu      sync.Mutex
	waiting []slot[T]
	spare   []slot[T]       // empty, for when waiting is taken
	flushes []chan struct{} // to be closed when what waits is written, or could not be
	count   int             // waiting and taken
	text    int             // bytes of these
	lost    uint64          // since the last that got in
	total   uint64          // lost, ever
	full    bool            // stays so until half has been written
	asleep  bool            // the writer waits on wake
	closed  bool
}

// slot is an entry, with the number of those that were lost right before it.
type slot[T any] struct {
	lost  uint64
	text  int
	entry T
}

func (q *queue[T]) init() { q.wake = make(chan struct{}, 1) }

// put copies an entry that holds so many bytes of text. It tells whether there
// was room; where there was none the entry is counted as lost.
func (q *queue[T]) put(entry *T, text int) (in bool) {
	if q.try(entry, text) {
		return true
	}
	q.miss()
	return false
}

// try is put without the counting.
func (q *queue[T]) try(entry *T, text int) (in bool) {
	q.mu.Lock()
	if q.full && (q.count > maxWaiting/2 || q.text > maxText/2) || q.count >= maxWaiting || q.text+text > maxText || q.closed {
		q.full = true
		q.mu.Unlock()
		return false
	}
	q.full = false
	q.waiting = append(q.waiting, slot[T]{q.lost, text, *entry})
	q.lost = 0
	q.count++
	q.text += text
	wake := q.asleep
	q.asleep = false
	q.mu.Unlock()
	if wake {
		q.nudge()
	}
	return true
}

// miss counts an entry as lost.
func (q *queue[T]) miss() {
	q.mu.Lock()
	q.lost++
	q.total++
	q.mu.Unlock()
}

func (q *queue[T]) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives the writer all that waits. What it took before it has written. If
// there is nothing it is to wait on wake.
func (q *queue[T]) take() (t taken[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 && q.lost == 0 && len(q.flushes) == 0 {
		q.asleep = !q.closed
		return taken[T]{closed: q.closed}
	}
	t = taken[T]{q.waiting, q.lost, q.flushes, q.closed}
	q.waiting, q.spare, q.flushes, q.lost = q.spare, nil, nil, 0
	return t
}

// taken is what the writer gets.
type taken[T any] struct {
	slots   []slot[T]
	lost    uint64 // behind the last slot
	flushes []chan struct{}
	closed  bool // nothing follows
}

// release frees the places of entries that were taken.
func (q *queue[T]) release(slots []slot[T]) {
	text := 0
	for i := range slots {
		text += slots[i].text
	}
	q.mu.Lock()
	q.count -= len(slots)
	q.text -= text
	q.mu.Unlock()
}

// A queue that is empty keeps the memory of so many slots, or twice as many.
const keptSlots = 64

// giveBack returns the memory of what was taken.
func (q *queue[T]) giveBack(slots []slot[T]) {
	if cap(slots) > 2*keptSlots {
		return
	}
	clear(slots)
	q.mu.Lock()
	q.spare = slots[:0]
	q.mu.Unlock()
}

// flush returns a channel that is closed when all that waits now was written, or
// could not be.
func (q *queue[T]) flush() <-chan struct{} {
	c := make(chan struct{})
	q.mu.Lock()
	q.flushes = append(q.flushes, c)
	q.asleep = false
	q.mu.Unlock()
	q.nudge()
	return c
}

// waiters returns those that have begun to wait for a flush since the last take.
func (q *queue[T]) waiters() []chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.flushes
	q.flushes = nil
	return list
}

// close lets nothing in any more.
func (q *queue[T]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nudge()
}

// losses returns how many were lost, ever, and how many wait.
func (q *queue[T]) losses() (total uint64, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total, q.count
}
