package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/term"

	"sluice/internal/cli"
	"sluice/internal/doctor"
)

// maxDoctorTargets bounds what one examination is asked for.
const maxDoctorTargets = 100

func examine(c *cli.Call) int {
	fs := c.Flags()
	var proxy, image string
	var asJSON bool
	o := doctor.Options{Environ: os.Environ()}
	fs.StringVar(&proxy, "proxy", "", "examine the way through the proxy at `URL`, too: http, https or socks5 (default: that of the environment, or dockerd's)")
	fs.StringVar(&image, "image", "", "`IMAGE` to pull in part from registries (default: hello-world)")
	fs.BoolVar(&asJSON, "json", false, "print one JSON document, described in DOCTOR.md")
	fs.DurationVar(&o.Timeout, "timeout", doctor.DefaultTimeout, "`TIME` that all of it may take")
	if code, done := c.Parse(fs, maxDoctorTargets); done {
		return code
	}
	if err := doctorOptions(&o, proxy, image, fs.Args()); err != nil {
		fmt.Fprintf(c.Stderr, "sluice doctor: %v\n", err)
		return cli.ExitUsage
	}
	p := newProgress(c.Stderr, asJSON)
	o.Progress = p.step
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report := doctor.Run(ctx, o)
	p.clear()
	if err := printReport(c.Stdout, report, asJSON); err != nil {
		return c.Fault(err)
	}
	return report.Verdict.Exit
}

func doctorOptions(o *doctor.Options, proxy, image string, targets []string) (err error) {
	if o.Timeout <= 0 {
		return fmt.Errorf("--timeout: %s is no time to examine anything in", o.Timeout)
	}
	if proxy != "" {
		if o.Proxy, err = doctor.ParseProxy(proxy); err != nil {
			return fmt.Errorf("--proxy: %w", err)
		}
	}
	if o.Targets, err = doctor.ParseTargets(targets); err != nil {
		return err
	}
	if image == "" {
		return nil
	}
	if o.Image, err = doctor.ParseImage(image); err != nil {
		return fmt.Errorf("--image: %w", err)
	}
	// A registry in the image's name is what is meant to be examined.
	if t, ok := o.Image.Target(); ok {
		o.Targets = append(o.Targets, t)
	}
	return nil
}

func printReport(w io.Writer, report *doctor.Report, asJSON bool) error {
	if !asJSON {
		return report.Write(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(report)
}

// progress tells what is waited for: on a terminal in one line that changes,
// elsewhere with a line for each step that is over.
type progress struct {
	w        io.Writer
	terminal bool
	quiet    bool // nothing but a terminal's line
	over     int
	waiting  []doctor.Step
}

func newProgress(w io.Writer, quiet bool) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, quiet: quiet, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) step(s doctor.Step, over bool) {
	if over {
		p.over++
		p.forget(s)
	} else {
		p.waiting = append(p.waiting, s)
	}
	switch {
	case p.terminal:
		p.draw()
	case over && !p.quiet:
		fmt.Fprintf(p.w, "%-6s  %s  %s: %s\n", s.Way, s.Host, s.Step, s.Sentence)
	}
}

func (p *progress) forget(s doctor.Step) {
	for i, w := range p.waiting {
		if w.Way == s.Way && w.Step == s.Step && (w.Host == s.Host || w.Registry != "") {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
}

// draw writes over the line, and stays on it.
func (p *progress) draw() {
	line := fmt.Sprintf("%d steps done", p.over)
	if len(p.waiting) > 0 {
		w := p.waiting[0] // the one that takes longest
		line += fmt.Sprintf("; waiting for %s (%s, %s)", w.Host, w.Step, w.Way)
	}
	line = displaywidth.TruncateString(line, 79, "")
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", 79-displaywidth.String(line)))
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprintf(p.w, "\r%79s\r", "")
	}
}
