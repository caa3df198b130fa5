package relay

import (
	"container/heap"
	"math"
	"slices"
	"sync/atomic"
)

// turn names one direction of a tunnel in a place.
type turn struct {
	t *Tunnel
	place
	from Side
}

// queue is first in, first out.
type queue struct {
	list []turn
	head int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(t turn) {
	if q.head > len(q.list)/2 { // amortized: moves no more than was popped
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, t)
}

func (q *queue) pop() turn {
	t := q.list[q.head]
	q.list[q.head] = turn{}
	q.head++
	return t
}

// never is later than anything.
const never = math.MaxInt64

// timers has who waits, the first due first.
type timers struct {
	list waiters
	left atomic.Int32 // tunnels that have left while they waited, since the last look
}

type waiter struct {
	turn
	due int64 // since epoch, in nanoseconds
}

func (w *timers) next() int64 {
	if len(w.list) == 0 {
		return never
	}
	return w.list[0].due
}

func (w *timers) due(now int64) bool { return w.next() <= now }

func (w *timers) push(t turn, due int64) { heap.Push(&w.list, waiter{t, due}) }

func (w *timers) pop() turn { return heap.Pop(&w.list).(waiter).turn }

// fewWaiters are not worth a look whether they are still there.
const fewWaiters = 64

// forget drops waiters whose tunnels have left, when these may be half of all: who
// waits may be due in hours, and keeps a tunnel in memory until then.
func (w *timers) forget(stays func(turn) bool) {
	if n := int(w.left.Load()); n < fewWaiters || n < len(w.list)/2 {
		return
	}
	w.left.Store(0)
	w.list = slices.DeleteFunc(w.list, func(x waiter) bool { return !stays(x.turn) })
	heap.Init(&w.list)
}

type waiters []waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].due < w[j].due }
func (w waiters) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(x any)        { *w = append(*w, x.(waiter)) }

func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last] = waiter{}
	*w = (*w)[:last]
	return x
}
