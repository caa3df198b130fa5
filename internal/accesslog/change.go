package accesslog

import "go.uber.org/zap"

// Change is a change of a log that is prepared and not yet made. Call either
// Commit or Abort.
type Change struct {
	log     *Log
	options Options
	out     *output // nil: the one that the log has
	over    bool    // committed or aborted
}

// Prepare opens what the options name, and changes nothing yet; Stdout, Log and the
// daemons' sockets stay those that the log was opened with. With an error there is nothing to commit or
// abort. Where the path is the one in force nothing is opened, so that a reload that
// leaves it alone does not fail for it: to open it anew is up to Reopen.
//
// A reload calls Prepare, then whatever else may fail, and at the end Commit, or
// Abort when something did. Between them no other change is made, and Reopen waits:
// it may hang in opening a file, and Commit must not.
func (l *Log) Prepare(o Options) (*Change, error) {
	l.changing.Lock()
	c := &Change{log: l, options: o}
	if place(o.Path) == place(l.options.Path) {
		return c, nil
	}
	out, err := l.open(o.Path)
	if err != nil {
		l.changing.Unlock()
		return nil, err
	}
	c.out = out
	return c, nil
}

// place is a path without its second spelling.
func place(path string) string {
	if path == "" {
		return "stdout"
	}
	return path
}

// Commit makes the change. What came before it is written as it was meant to be;
// when the old output does not take that within a second, the new one gets it, in
// the new format. No record is lost by it, and none is written in part; a record
// that cannot be written because the output hangs is still waited for.
func (c *Change) Commit() {
	if c.over {
		return
	}
	c.over = true
	defer c.log.changing.Unlock()
	out := c.out
	if out == nil {
		out = c.log.w.sink.Load().out
	}
	c.log.use(out, c.options)
}

// Abort closes what Prepare has opened. After Commit it does nothing.
func (c *Change) Abort() {
	if c.over {
		return
	}
	c.over = true
	defer c.log.changing.Unlock()
	if c.out != nil {
		_ = c.out.close() // nothing was written to it
	}
}

// use writes to an output from now on, after what came before was written to the
// old one, which is closed.
func (l *Log) use(out *output, o Options) {
	l.w.sync(flushTime)
	before := l.w.use(newSink(out, o))
	if before.out != out {
		if err := before.out.close(); err != nil {
			l.log.Error("close the access log of before", zap.Error(err))
		}
	}
	l.apply(o)
}

// Reopen opens the file anew, for a log that was rotated away, or connects to the
// daemon anew, after what came before was written to the old one. When that takes no more, the new one gets it,
// after a second at the latest.
func (l *Log) Reopen() error {
	l.changing.Lock()
	defer l.changing.Unlock()
	out, err := l.open(l.options.Path)
	if err != nil {
		return err
	}
	l.use(out, l.options)
	return nil
}
