package lab

import (
	"bytes"
	"strings"
	"sync"
)

// Transcript keeps what is written, and may be read meanwhile.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *Transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *Transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// tail is the last lines of the text.
func (w *Transcript) tail(lines int) string {
	all := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
