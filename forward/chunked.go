package forward

import (
	"bytes"
	"strconv"

	"sluice/internal/relay"
)

// Bounds of what a chunked body has beside its data.
const (
	maxChunkLine = 1 << 10  // a chunk's size and extensions
	maxExtension = 64 << 10 // all extensions of a body, which are dropped
	maxTrailer   = 16 << 10 // the trailer section
	maxHexDigits = 15       // of a chunk's size, which so fits an int64
)

// chunks moves a chunked body (RFC 9112, section 7.1) from in to out and frames
// it anew: the sizes are written as everyone reads them, extensions are dropped,
// and trailer fields that have no business there do not pass.
type chunks struct {
	in    *reader
	out   lane
	plain bool     // the data alone: out goes to someone who does not know chunks
	named []string // fields that Connection named; they do not pass as trailers either
	buf   []byte   // waits to be written; borrowed
	ext   int      // bytes of extensions so far
}

// copyChunked moves a whole body. Its errors are flaws, io.ErrUnexpectedEOF and
// those of the connections.
func (l lane) copyChunked(in *reader, plain bool, named []string) error {
	in.large = true
	c := chunks{in: in, out: l, plain: plain, named: named, buf: borrow(true)[:0]}
	defer func() { giveBack(c.buf) }()
	for {
		n, err := c.size()
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := c.data(n); err != nil {
			return err
		}
	}
	if err := c.trailer(); err != nil {
		return err
	}
	return c.flush()
}

func (c *chunks) flush() error {
	err := c.out.write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// put adds bytes to what waits to be written.
func (c *chunks) put(b []byte) error {
	if len(c.buf)+len(b) > cap(c.buf) {
		if err := c.flush(); err != nil {
			return err
		}
		if len(b) > cap(c.buf) {
			return c.out.write(b)
		}
	}
	c.buf = append(c.buf, b...)
	return nil
}

// frame adds bytes of the chunked framing.
func (c *chunks) frame(b []byte) error {
	if c.plain {
		return nil
	}
	return c.put(b)
}

// more waits for bytes. What there is goes out before, for its receiver may be
// what the sender waits for.
func (c *chunks) more() error {
	if err := c.flush(); err != nil {
		return err
	}
	return unexpected(c.in.fill(largeBuffer))
}

// line returns the next line without its CR LF, at most limit bytes long; over
// tells of a longer one. It must be taken by skip, with its CR LF.
func (c *chunks) line(limit int, over flaw) ([]byte, error) {
	for scanned := 0; ; {
		b := c.in.buffered()
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			i += scanned
			if i == 0 || b[i-1] != '\r' {
				return nil, flawBareLF
			}
			return b[:i-1], nil
		}
		if scanned = len(b); scanned >= limit {
			return nil, over
		}
		if err := c.more(); err != nil {
			return nil, err
		}
	}
}

// size reads a chunk's size line and writes its own.
func (c *chunks) size() (int64, error) {
	line, err := c.line(maxChunkLine, flawChunkExt)
	if err != nil {
		return 0, err
	}
	n, ext, err := parseChunkSize(line)
	if err != nil {
		return 0, err
	}
	if c.ext += ext; c.ext > maxExtension {
		return 0, flawChunkExt
	}
	c.in.skip(len(line) + len(crlf))
	var own [maxHexDigits + len(crlf)]byte
	return n, c.frame(append(strconv.AppendInt(own[:0], n, 16), crlf...))
}

// parseChunkSize reads hex digits, and extensions, of which it returns the
// length. White space is admitted inside of extensions only: what stands between
// size and semicolon, some servers take for a part of the number.
func parseChunkSize(line []byte) (n int64, ext int, err error) {
	i := 0
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if i == maxHexDigits {
			return 0, 0, flawChunkSize
		}
		n = n<<4 | int64(d)
	}
	rest := line[i:]
	switch {
	case i == 0 || len(rest) > 0 && rest[0] != ';':
		return 0, 0, flawChunkSize
	case len(rest) > maxChunkLine || !isValue(rest):
		return 0, 0, flawChunkExt
	}
	return n, len(rest), nil
}

func unhex(c byte) int {
	switch c = toLower(c); {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c - 'a' + 10)
	}
	return -1
}

// data moves a chunk's n bytes and the CR LF behind them.
func (c *chunks) data(n int64) error {
	for n > 0 {
		b := c.in.buffered()
		switch {
		case len(b) > 0:
			b = b[:min(n, int64(len(b)))]
			if err := c.put(b); err != nil {
				return err
			}
			n -= int64(len(b))
			c.in.skip(len(b))
		case n >= spliceFrom:
			if err := c.flush(); err != nil {
				return err
			}
			if err := relay.CopyN(c.out.dst, c.in.conn, n, c.out.meter); err != nil {
				return err
			}
			n = 0
		default:
			if err := c.more(); err != nil {
				return err
			}
		}
	}
	for len(c.in.buffered()) < len(crlf) {
		if err := c.more(); err != nil {
			return err
		}
	}
	if string(c.in.buffered()[:len(crlf)]) != crlf {
		return flawChunkEnd
	}
	c.in.skip(len(crlf))
	return c.frame([]byte(crlf))
}

// trailer reads the trailer section (RFC 9112, section 7.1.2) and writes what of
// it may pass.
func (c *chunks) trailer() error {
	for total := 0; ; {
		line, err := c.line(maxTrailer-total, flawTrailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			c.in.skip(len(crlf))
			return c.frame([]byte(crlf))
		}
		if total += len(line) + len(crlf); total > maxTrailer {
			return flawTrailer
		}
		f, err := readField(line)
		if err != nil {
			return err
		}
		if f.class == ordinary && !c.isNamed(f.name) {
			if err := c.frame(appendField(nil, f)); err != nil {
				return err
			}
		}
		c.in.skip(len(line) + len(crlf))
	}
}

func (c *chunks) isNamed(name []byte) bool {
	for _, n := range c.named {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}
