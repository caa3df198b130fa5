// Package setup knows how clients are told of a proxy: which file a program reads
// on which system, in what format, what has to be restarted, and how to see that it
// worked. One description of each client serves all who need it: the text that is
// printed, the changes that are made and undone, and the scripts that do the same
// on a machine without this program.
//
// It leaves to others to find out whether the way through the proxy is open beyond
// the first request.
package setup

import (
	"regexp"
	"slices"
	"strings"
)

// Client is a program, or a family of programs, that is told of a proxy in one way.
type Client struct {
	Name    string // as in "sluice setup NAME"
	Purpose string // what then goes through the proxy

	// Destination is what the client asks a proxy for first, as HOST:PORT.
	Destination string
	// SOCKS tells in a sentence what the client makes of a SOCKS5 proxy. It begins
	// with "not" where the client cannot use one.
	SOCKS string
	// Places are the alternatives. A host has one of them: the first whose Test
	// succeeds.
	Places []Place
	// Verify shows whether the client took the proxy.
	Verify Check
	// Notes are traps and limits, each a sentence or two.
	Notes []string
}

// Place is where one kind of system has a client's settings.
type Place struct {
	Name  string // a word to ask for it by
	Where string // which systems have it, as an end of "Use it …"
	// Test is a POSIX shell command that succeeds on a host that has this place.
	// Paths in it begin with "$root", which is empty but for tests. An empty Test
	// always succeeds.
	Test string
	// Asked says that the place is taken only when it is asked for by name, or when
	// no other is there; Otherwise is the reason to give where its Test fails.
	Asked     bool
	Otherwise string
	// Everybody says that users read the files themselves, so that a password in
	// them would be everybody's, or the files of use to nobody.
	Everybody bool
	Files     []File
	// Typed are commands that do without a file; nil: there are none.
	Typed func(Options) []string
	// Reload are shell commands that make the client read its files, after a change
	// and after its undoing alike.
	Reload []string
	// Disturbs says what Reload does to that which runs; empty: nothing.
	Disturbs string
}

// restart is a command that restarts a service of systemd's.
var restart = regexp.MustCompile(`^systemctl restart ([\w.@-]+)$`)

// Reloads are the commands of Reload as a program runs them. A service that was started
// several times within a minute systemd starts no more, by StartLimitBurst= of
// systemd.unit(5): Docker's is stopped and stays so from the fourth time on. A person
// who tries again would be stuck, so that count is reset.
func (p Place) Reloads() []string {
	var commands []string
	for _, c := range p.Reload {
		if m := restart.FindStringSubmatch(c); m != nil {
			c += " || { systemctl reset-failed " + m[1] + " && " + c + "; }"
		}
		commands = append(commands, c)
	}
	return commands
}

// File is one file with settings, or with a text of our own.
type File struct {
	Path   string // absolute, or below "~/", the user's home
	Format Format
	// Settings are what has to stand in the file, beside what others put there.
	Settings func(Options) []Setting
	// Body is the whole text of a file of format Own or New.
	Body func(Options) string
}

// Setting is a name and its value. Section is the heading in a file that has
// headings, and dots in the name of a JSON setting lead into objects. An empty Value
// says that the setting is not to be there.
type Setting struct {
	Section, Name, Value string
	// Separator parts the entries of a list, such as NO_PROXY. Entries that stand in
	// the file already stay, behind ours; empty: the value is no list.
	Separator string
	// List is the value of a setting in JSON that is an array of strings; Value is not
	// looked at then. Entries that stand in the file already stay, behind ours.
	List []string
}

// Check is a shell command that prints what a client has been told.
type Check struct {
	Command string
	// Wants is what the output has to contain; nil: the proxy's HOST:PORT. No client
	// shows more of it than that alike: docker info hides credentials.
	Wants func(Options) string
	// Remedy says what else may be wrong where it is not seen; empty: nothing is known.
	Remedy string
	// When says when it can be seen, as "in a new session"; empty: at once.
	When string
}

// Clients returns every client, in the order in which they are listed. The caller
// owns the slice.
func Clients() []Client {
	return []Client{
		docker(), containerd(), podman(), buildkit(), kubernetes(), compose(),
		apt(), dnf(), git(), pip(), npm(), maven(), gradle(), java(), golang(), shell(),
	}
}

// Names returns the names of all clients.
func Names() []string {
	var names []string
	for _, c := range Clients() {
		names = append(names, c.Name)
	}
	return names
}

// Lookup returns the client of that name.
func Lookup(name string) (Client, bool) {
	all := Clients()
	i := slices.IndexFunc(all, func(c Client) bool { return c.Name == name })
	if i < 0 {
		return Client{}, false
	}
	return all[i], true
}

// TakesSOCKS tells whether the client can use a SOCKS5 proxy.
func (c Client) TakesSOCKS() bool { return !strings.HasPrefix(c.SOCKS, "not") }

// Edit returns what the file shall hold instead of old, or an error that says what
// is wrong with old. A file that is not there is nil. A file that says all of it
// already comes back as it is.
func (f File) Edit(old []byte, o Options) ([]byte, error) {
	switch f.Format {
	case Own:
		return []byte(f.Body(o)), nil
	case New:
		next := []byte(f.Body(o))
		return next, replaces(old, next)
	}
	return f.Format.edit(old, f.Settings(o))
}

// Content is what the file holds where there was none.
func (f File) Content(o Options) string {
	text, err := f.Edit(nil, o)
	if err != nil { // no format finds fault with an empty file
		return ""
	}
	return string(text)
}

// Names returns the names of the file's settings, sorted, each once.
func (f File) Names(o Options) []string {
	if f.Settings == nil {
		return nil
	}
	var names []string
	for _, s := range f.Settings(o) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
