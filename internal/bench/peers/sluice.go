//go:build linux

package peers

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// How many clients and destinations the usual rule names.
const (
	usualCIDRs = 1000
	usualNames = 1000
)

// sluice runs with its defaults and what a busy installation has: a rule of many
// clients and destinations, those in use the last of them, a log in JSON to a
// file, and limits for each client, none of which bites unless s says so.
func sluice(binary string, s Setup) ([]string, error) {
	path := filepath.Join(s.Dir, "sluice.toml")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, `[[listener]]
address = "127.0.0.1:%d"
[admin]
address = "unix:%s/sluice.sock"
[egress]
allow_private = ["127.0.0.0/8"]
[log]
access = "%[2]s/sluice-access.log"
[limits]
tunnels = 1000000
new_tunnels = "1000000/s"
`, s.Port, s.Dir)
	rate, client := "1000GB/s", ""
	if s.Limit.Rate > 0 {
		if limited := fmt.Sprintf("%dB/s", s.Limit.Rate); s.Limit.Client == "" {
			rate = limited
		} else {
			client = fmt.Sprintf("clients = [%q]\ndownload = %q\nupload = %[2]q\n", s.Limit.Client, limited)
		}
	}
	fmt.Fprintf(w, "download = %q\nupload = %[1]q\n", rate)
	if client != "" {
		fmt.Fprintf(w, "[[rule]]\nname = \"limited\"\naction = \"allow\"\n%sports = [%d]\nto = [\"127.0.0.1\"]\n", client, s.Origin)
	}
	if s.Rules != "" {
		err = appendFile(w, s.Rules)
	} else {
		WriteRule(w, "usual", usualCIDRs, usualNames, s.Origin)
	}
	if err == nil {
		err = w.Flush()
	}
	return []string{binary, "serve", "--config", path}, err
}

func appendFile(w io.Writer, path string) error {
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// WriteRule writes a rule of Sluice's configuration, with that many client CIDRs
// and destination names, that lets a client on this machine reach an origin on
// this machine; both stand last.
func WriteRule(w io.Writer, name string, cidrs, names, origin int) {
	fmt.Fprintf(w, "[[rule]]\nname = %q\naction = \"allow\"\nports = [%d]\nclients = [\n", name, origin)
	for i := range cidrs - 1 {
		// Out of 10.0.0.0/8, no two of them next to each other.
		n := uint32(10)<<24 | uint32(i)<<7
		fmt.Fprintf(w, "\"%d.%d.%d.%d/26\",\n", n>>24, n>>16&255, n>>8&255, n&255)
	}
	io.WriteString(w, "\"127.0.0.0/8\"]\nto = [\n")
	kinds := [...]string{"", "*.", "."}
	for i := range names - 1 {
		fmt.Fprintf(w, "\"%shost%d.example\",\n", kinds[i%len(kinds)], i)
	}
	io.WriteString(w, "\"127.0.0.1\"]\n")
}

// Denied is a rule that lets nobody reach the origin.
func Denied() string {
	var b strings.Builder
	WriteRule(&b, "other", 2, 2, 1)
	return b.String()
}
