package admin

import (
	"net/http"
	"time"
)

// takeTime is how long a subscriber may take for a chunk of what it is sent.
const takeTime = 5 * time.Second

// events serves one subscriber until it leaves, is too slow, or the server closes.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) error {
	c := http.NewResponseController(w)
	start := func() error {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		return c.Flush()
	}
	if r.Method == http.MethodHead {
		return start()
	}
	s, f := h.feed.subscribe()
	if f != nil {
		return f
	}
	defer h.feed.leave(s)
	// The server's own deadline is for answers that end.
	_ = c.SetWriteDeadline(time.Now().Add(takeTime))
	if start() != nil {
		return nil // it has left
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case text, more := <-s.texts:
			if !more || !send(w, c, text) {
				panic(http.ErrAbortHandler) // the connection is of no more use
			}
		}
	}
}

// send writes a text; false: the subscriber has left, or does not take it.
func send(w http.ResponseWriter, c *http.ResponseController, text []byte) bool {
	for len(text) > 0 {
		part := text[:min(len(text), chunk)]
		text = text[len(part):]
		_ = c.SetWriteDeadline(time.Now().Add(takeTime))
		if _, err := w.Write(part); err != nil {
			return false
		}
	}
	return c.Flush() == nil
}
