package top

import (
	"context"
	"fmt"
	"os"

	"github.com/gdamore/tcell/v3"
)

// openScreen takes over the terminal; Fini gives it back.
func openScreen() (tcell.Screen, error) {
	// A character set that tcell does not know is no reason to show nothing.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)
	// Nothing is asked of the terminal: a slow line would hold up the start, and an
	// answer that comes late would be read by the shell.
	s, err := tcell.NewScreen(tcell.OptNegotiation(false), tcell.OptSanitizeContent(true))
	if err == nil {
		err = s.Init()
	}
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	s.HideCursor()
	s.EnablePaste()
	return s, nil
}

// dumb says why a terminal cannot be drawn on; "" if it can.
func dumb() string {
	switch term := os.Getenv("TERM"); term {
	case "":
		return "TERM is not set, so that nothing is known of this terminal"
	case "dumb":
		return "this terminal cannot place text on the screen (TERM is dumb)"
	}
	return ""
}

// look is a style in the terminal's own colours, so that its theme decides how
// light or dark they are. Without colours (NO_COLOR, or a terminal that has none)
// attributes do: tcell would turn a colour into black on white instead.
func (s style) look(colours bool) tcell.Style {
	d := tcell.StyleDefault
	switch s {
	case strong:
		return d.Bold(true)
	case faint:
		return d.Dim(true)
	case heading:
		return d.Bold(true).Underline(true)
	case chosen:
		return d.Reverse(true)
	case good:
		return coloured(d, tcell.PaletteColor(2), colours) // green
	case bad:
		return coloured(d.Bold(true), tcell.PaletteColor(1), colours) // red
	case question:
		return coloured(d.Bold(true), tcell.PaletteColor(3), colours) // yellow
	}
	return d
}

func coloured(s tcell.Style, c tcell.Color, colours bool) tcell.Style {
	if !colours {
		return s
	}
	return s.Foreground(c)
}

func paint(s tcell.Screen, lines []line) {
	s.Clear()
	columns, _ := s.Size()
	colours := s.Colors() > 0
	for y, l := range lines {
		x := 0
		for _, p := range l {
			s.PutStrStyled(x, y, p.text, p.style.look(colours))
			x += width(p.text)
		}
		if len(l) == 1 && l[0].style == chosen {
			s.FillArea(x, y, columns-x, 1, ' ', chosen.look(colours))
		}
	}
	s.Show()
}

// keyNames are tcell's keys that mean something here.
func keyName(k *tcell.EventKey) string {
	switch k.Key() {
	case tcell.KeyRune:
		if k.Modifiers()&(tcell.ModCtrl|tcell.ModAlt|tcell.ModMeta) != 0 {
			return ""
		}
		return k.Str()
	case tcell.KeyUp:
		return "up"
	case tcell.KeyDown:
		return "down"
	case tcell.KeyLeft:
		return "left"
	case tcell.KeyRight:
		return "right"
	case tcell.KeyPgUp:
		return "pgup"
	case tcell.KeyPgDn:
		return "pgdn"
	case tcell.KeyHome:
		return "home"
	case tcell.KeyEnd:
		return "end"
	case tcell.KeyEnter:
		return "enter"
	case tcell.KeyEscape:
		return "esc"
	case tcell.KeyBackspace:
		return "backspace"
	case tcell.KeyCtrlC:
		return "ctrl-c"
	case tcell.KeyCtrlU:
		return "ctrl-u"
	case tcell.KeyCtrlL:
		return "ctrl-l"
	}
	return ""
}

// display is the model on a terminal.
type display struct {
	*model
	screen  tcell.Screen
	pasting bool
	ask     func(*request)
}

// take handles what the terminal tells, and returns whether that was the end.
func (d *display) take(ev tcell.Event) (quit bool) {
	switch ev := ev.(type) {
	case *tcell.EventPaste:
		d.pasting = ev.Start()
	case *tcell.EventResize:
		d.screen.Sync()
	case *tcell.EventError:
		return true // the terminal is gone
	case *tcell.EventKey:
		name := keyName(ev)
		switch {
		case name == "", !ev.Pressed():
			return false
		case name == "ctrl-l":
			d.screen.Sync()
			return false
		case d.pasting && !d.typing:
			return false // text that strays here is no command
		}
		ask, quit := d.key(name)
		if ask != nil {
			d.ask(ask)
		}
		return quit
	}
	return false
}

// loop draws and listens until the user quits or ctx ends.
func (d *display) loop(ctx context.Context, news <-chan news, answers <-chan answer) {
	events := d.screen.EventQ()
	for {
		paint(d.screen, d.draw(d.screen.Size()))
		select {
		case <-ctx.Done():
			return
		case ev, open := <-events:
			if !open || d.take(ev) {
				return
			}
		case n := <-news:
			d.hear(n)
		case a := <-answers:
			d.answer(a)
		}
		// Keys that are waiting come before the next drawing: one that is held down
		// must not run ahead of a slow line.
		for waiting := true; waiting; {
			select {
			case ev, open := <-events:
				if !open || d.take(ev) {
					return
				}
			default:
				waiting = false
			}
		}
	}
}

func (d *display) hear(n news) {
	if n.err != nil {
		d.disconnected(n.err)
		return
	}
	if ask := d.event(n.event); ask != nil {
		d.ask(ask)
	}
}
