package setup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Our <proxy> elements stand between these comments, which editMaven knows them by.
const (
	mavenBegin = "<!-- sluice setup maven: begin -->"
	mavenEnd   = "<!-- sluice setup maven: end -->"
)

// editMaven puts <proxy> elements into a settings.xml, in front of others: of those
// that are active Maven takes the first for a protocol.
func editMaven(text []byte, settings []Setting) ([]byte, error) {
	block := mavenBegin + "\n" + mavenProxy("http", settings) + mavenProxy("https", settings) + "    " + mavenEnd
	if len(bytes.TrimSpace(text)) == 0 {
		return []byte("<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\">\n  <proxies>\n    " + block + "\n  </proxies>\n</settings>\n"), nil
	}
	spot, err := readMaven(text)
	if err != nil {
		return nil, err
	}
	old := string(text)
	if strings.Contains(old, "\r\n") {
		block = strings.ReplaceAll(block, "\n", "\r\n")
	}
	begin, end := strings.Index(old, mavenBegin), strings.Index(old, mavenEnd)
	switch {
	case begin >= 0 && end > begin:
		return []byte(old[:begin] + block + old[end+len(mavenEnd):]), nil
	case begin >= 0 || end >= 0:
		return nil, fmt.Errorf("one of the comments %q and %q is gone: take the other one out", mavenBegin, mavenEnd)
	case spot.proxies > 0:
		return []byte(old[:spot.proxies] + "\n    " + block + old[spot.proxies:]), nil
	case spot.inner > 0:
		return []byte(old[:spot.inner] + "\n  <proxies>\n    " + block + "\n  </proxies>" + old[spot.inner:]), nil
	}
	return nil, errors.New("its <settings/> or <proxies/> is empty and closes itself: write it with an end tag")
}

// mavenSpot are offsets behind the start tags of <settings> and <proxies>; 0: there is none
// to write into.
type mavenSpot struct{ inner, proxies int64 }

func readMaven(text []byte) (mavenSpot, error) {
	var spot mavenSpot
	d := xml.NewDecoder(bytes.NewReader(text))
	// Only names in ASCII matter here, and every charset that is used has those alike.
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	var path []string
	closed := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(path) > 0 || !closed {
				return spot, errors.New("it is no XML with an element <settings>")
			}
			return spot, nil
		}
		if err != nil {
			return spot, fmt.Errorf("it is broken XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			at := d.InputOffset()
			if bytes.HasSuffix(text[:at], []byte("/>")) {
				if len(path) == 1 || len(path) == 2 && t.Name.Local == "proxies" {
					return spot, errors.New("its <settings/> or <proxies/> closes itself: write it with an end tag")
				}
				break
			}
			switch strings.Join(path, "/") {
			case "settings":
				spot.inner = at
			case "settings/proxies":
				spot.proxies = at
			}
			if path[0] != "settings" {
				return spot, fmt.Errorf("its element is <%s>, not <settings>", path[0])
			}
		case xml.EndElement:
			path = path[:len(path)-1]
			closed = true
		}
	}
}

func mavenProxy(protocol string, settings []Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    <proxy>\n      <id>sluice-%s</id>\n      <active>true</active>\n      <protocol>%s</protocol>\n", protocol, protocol)
	for _, s := range settings {
		if s.Value == "" {
			continue
		}
		fmt.Fprintf(&b, "      <%s>", s.Name)
		_ = xml.EscapeText(&b, []byte(s.Value)) // a builder takes everything
		fmt.Fprintf(&b, "</%s>\n", s.Name)
	}
	b.WriteString("    </proxy>\n")
	return b.String()
}
