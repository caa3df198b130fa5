package accesslog

// Change is a change of a log that is prepared and not yet made. Call either
// Commit or Abort.
type Change struct {
	to      changing
	options Options
	out     *output // nil: the one that the log has
	over    bool    // committed or aborted
}

// changing is a log that waits for a change to be made or given up.
type changing interface {
	commit(out *output, o Options) // out nil: the one that it has
	unlock()
}

// Prepare opens what the options name, and changes nothing yet; Stdout, Log and the
// daemons' sockets stay those that the log was opened with. With an error there is nothing to commit or
// abort. Where the path is the one in force nothing is opened, so that a reload that
// leaves it alone does not fail for it: to open it anew is up to Reopen.
//
// A reload calls Prepare, then whatever else may fail, and at the end Commit, or
// Abort when something did. Between them no other change is made, and Reopen waits:
// it may hang in opening a file, and Commit must not.
func (d *destination[T]) Prepare(o Options) (*Change, error) {
	d.changing.Lock()
	c := &Change{to: d, options: o}
	if place(o.Path) == place(d.options.Path) {
		return c, nil
	}
	out, err := d.open(o.Path)
	if err != nil {
		d.changing.Unlock()
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
	defer c.to.unlock()
	c.to.commit(c.out, c.options)
}

func (d *destination[T]) commit(out *output, o Options) {
	if out == nil {
		out = d.w.sink.Load().out
	}
	d.use(out, o)
}

func (d *destination[T]) unlock() { d.changing.Unlock() }

// Abort closes what Prepare has opened. After Commit it does nothing.
func (c *Change) Abort() {
	if c.over {
		return
	}
	c.over = true
	defer c.to.unlock()
	if c.out != nil {
		_ = c.out.close() // nothing was written to it
	}
}

// Reopen opens the file anew, for a log that was rotated away, or connects to the
// daemon anew, after what came before was written to the old one. When that takes no more, the new one gets it,
// after a second at the latest.
func (d *destination[T]) Reopen() error {
	d.changing.Lock()
	defer d.changing.Unlock()
	out, err := d.open(d.options.Path)
	if err != nil {
		return err
	}
	d.use(out, d.options)
	return nil
}
