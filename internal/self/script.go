package self

import (
	_ "embed"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sluice/forward"
	"sluice/internal/setup"
)

var (
	//go:embed script.sh
	scriptBody string
	//go:embed edit.awk
	editProgram string
	//go:embed merge.py
	mergeProgram string
	//go:embed merge.jq
	mergeQuery string
)

// formats are what a script can write, and its names for them.
var formats = map[setup.Format]string{
	setup.Environment: "assignments",
	setup.Exports:     "assignments",
	setup.DropIn:      "dropin",
	setup.INI:         "ini",
	setup.Git:         "git",
	setup.JSON:        "json",
	setup.Own:         "own",
	setup.New:         "new",
}

// script answers with the script of a client. The query may name exceptions, as
// no-proxy=LIST.
func script(name, query string, proxy *url.URL) forward.SelfAnswer {
	c, ok := setup.Lookup(name)
	if !ok {
		return missing("There is no program of this name here: /setup lists them.")
	}
	o, err := options(query, proxy)
	if err != nil {
		return missing(err.Error())
	}
	if !scripted(c) {
		return found(plain, byHand(c, o))
	}
	return found(plain, scriptOf(c, o))
}

// options are what files are made from. The proxy itself is asked without the proxy,
// or it would be a loop.
func options(query string, proxy *url.URL) (setup.Options, error) {
	o := setup.Options{Proxy: proxy, NoProxy: []string{proxy.Hostname()}}
	if query == "" {
		return o, nil
	}
	form := fmt.Sprintf("The query may be no-proxy=LIST, with %d names, addresses and networks at most between commas.", maxExceptions)
	values, err := url.ParseQuery(query)
	if err != nil || len(values) != 1 || len(values["no-proxy"]) != 1 {
		return o, sentence(form)
	}
	list, err := setup.ParseNoProxy(values.Get("no-proxy"))
	if err != nil || len(list) > maxExceptions || slices.ContainsFunc(list, func(e string) bool { return strings.Trim(e, exceptionChars) != "" }) {
		return o, sentence(form)
	}
	o.NoProxy = append(o.NoProxy, list...)
	return o, nil
}

// maxExceptions bounds the work that one link makes: a head of 64 kB has room for
// thousands, and each goes into every setting and every file of a client.
const maxExceptions = 100

// exceptionChars are all that an exception is made of: it comes from whoever has made
// up the link, and goes into a script for root.
const exceptionChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/-_*[]"

// sentence is an error that is told as it is.
type sentence string

func (s sentence) Error() string { return string(s) }

// scripted tells whether there is a script for a client. A node of Kubernetes has to
// be read for what must not go by the proxy, or it loses its cluster.
func scripted(c setup.Client) bool {
	if c.Name == "kubernetes" {
		return false
	}
	for _, p := range c.Places {
		for _, f := range p.Files {
			if formats[f.Format] == "" {
				return false
			}
		}
	}
	return true
}

// byHand is a script that tells what to do, for what takes more than a shell.
func byHand(c setup.Client, o setup.Options) string {
	return "#!/bin/sh\n" +
		"{ cat <<'EOF_SLUICE' >&2; exit 1; }\n" +
		"# This is not for a shell script to do. By hand, or with \"sluice setup " + c.Name + " --apply\":\n\n" +
		c.Text(o) + "EOF_SLUICE\n"
}

// scriptOf is the script of a client of the proxy.
func scriptOf(c setup.Client, o setup.Options) string {
	line := command(o.Proxy.String(), c)
	return Script(c, o, Words{
		Thing: "the proxy", Address: o.Proxy.String(), Keep: "sluice-setup",
		Command: "curl -fsS " + o.Proxy.String() + "/setup/" + c.Name + " | sh -s --",
		Intro: fmt.Sprintf("Tells %s of the proxy %s:\n\n  %s\n\nWith sh -s -- --dry-run it shows what it would do, with --undo it takes all back.",
			c.Name, o.Proxy, line),
	})
}

// Words are what a script says about what it tells a client of.
type Words struct {
	Intro   string // what it is for, at its top
	Thing   string // "the proxy"
	Address string // of that
	Command string // what runs the script, but for its options
	Keep    string // the directory below /var/lib that has what was there before
}

// Script is a program in POSIX shell that does to a host what a client's description
// says, and takes it back. All of it stands in one function, whose call is the end: what
// breaks off does nothing. A file's format must be among those that a script can write.
func Script(c setup.Client, o setup.Options, w Words) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	for line := range strings.Lines(w.Intro) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	// What traps call looks out of reach, units have names that ls can list, and what
	// verifies is for another shell to expand.
	b.WriteString("# shellcheck disable=SC2317,SC2010,SC2016\n")
	b.WriteString("sluice_setup() {\n")
	var places, asked, all []string
	for _, p := range c.Places {
		switch {
		case len(p.Files) == 0:
			continue
		case p.Asked:
			asked = append(asked, p.Name)
		default:
			places = append(places, p.Name)
		}
		all = append(all, p.Name)
	}
	set := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, shellQuoted(value)) }
	set("client", c.Name)
	set("thing", w.Thing)
	set("address", w.Address)
	set("command", w.Command)
	set("keep", w.Keep)
	set("places", strings.Join(append(places, asked...), " "))
	set("all_places", strings.Join(all, " "))
	set("verify", c.Verify.Command)
	set("wanted", wanted(c, o))
	set("when", c.Verify.When)
	remedy := c.Verify.Remedy
	if remedy != "" {
		remedy = ": " + remedy
	}
	set("remedy", remedy)
	b.WriteString("umask 022\n\n")
	writeCase(&b, "has", "$1", "false", c, func(p setup.Place) string { return testOf(p) })
	writeCase(&b, "reload", "$chosen", ":", c, func(p setup.Place) string { return reloadOf(p) })
	writeCase(&b, "files", "$chosen", ":", c, func(p setup.Place) string { return filesOf(p, o) })
	b.WriteString("programs() {\n")
	b.WriteString(hereDoc(`cat >"$work/edit.awk"`, editProgram))
	b.WriteString(hereDoc(`cat >"$work/merge.py"`, mergeProgram))
	b.WriteString(hereDoc(`cat >"$work/merge.jq"`, mergeQuery))
	b.WriteString("}\n\n")
	b.WriteString(scriptBody)
	b.WriteString("\nmain \"$@\"\n}\n{ sluice_setup \"$@\" </dev/null; }\n")
	return b.String()
}

// writeCase writes a function that does something for each place.
func writeCase(b *strings.Builder, name, of, otherwise string, c setup.Client, do func(setup.Place) string) {
	fmt.Fprintf(b, "%s() {\ncase %s in\n", name, of)
	for _, p := range c.Places {
		if len(p.Files) > 0 {
			fmt.Fprintf(b, "%s)\n%s\n;;\n", shellQuoted(p.Name), do(p))
		}
	}
	fmt.Fprintf(b, "*) %s ;;\nesac\n}\n\n", otherwise)
}

func testOf(p setup.Place) string {
	if p.Test == "" {
		return ":"
	}
	return p.Test
}

func reloadOf(p setup.Place) string {
	if len(p.Reload) == 0 {
		return ":"
	}
	return "{ " + strings.Join(p.Reloads(), "; } &&\n{ ") + "; }"
}

func filesOf(p setup.Place, o setup.Options) string {
	var b strings.Builder
	for _, f := range p.Files {
		path := f.Path
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			path = "HOME/" + rest
		}
		b.WriteString(hereDoc(fmt.Sprintf("file %s %s %s %s", shellQuoted(path), formats[f.Format], shellQuoted(strings.Join(f.Names(o), " ")), shellQuoted(strings.Join(lists(f, o), " "))), f.Content(o)))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// lists are the names of a file's settings that are lists.
func lists(f setup.File, o setup.Options) []string {
	if f.Settings == nil {
		return nil
	}
	var names []string
	for _, s := range f.Settings(o) {
		if s.Separator != "" {
			names = append(names, s.Name)
		}
	}
	return names
}

func wanted(c setup.Client, o setup.Options) string {
	if c.Verify.Wants == nil {
		return o.Address()
	}
	return c.Verify.Wants(o)
}

// hereDoc gives a command a text, in which the shell finds nothing to expand.
func hereDoc(command, text string) string {
	return command + " <<'EOF_SLUICE'\n" + strings.TrimSuffix(text, "\n") + "\nEOF_SLUICE\n"
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
