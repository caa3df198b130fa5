//go:build !linux

package relay

// platform is empty where splice(2) does not exist.
type platform struct{}

func (p *platform) init(*mover) {}

// move waits for bytes and copies at most limit of them through a pooled buffer.
func (m *mover) move(limit int64) (int64, error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, err := m.src.Read(buf[:min(int64(bufferSize), limit, int64(m.budget.Bucket().Chunk()))])
	if n > 0 {
		if err := m.write(buf[:n]); err != nil {
			return 0, err
		}
	}
	return int64(n), err
}
