// Package pages is what the pages of admin addresses have in common: how their files
// are served, and those that make elements, write figures and give all of it its look.
//
// The files are what browsers run: JavaScript modules without a build step, and
// nothing from another origin. Much of what a page shows is chosen by clients, so that
// all text goes into it as text, and the headers keep a browser from taking any of it
// as markup even if it did not.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var common embed.FS

// types are given here, not asked of the machine, whose own table may differ.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// headers go with each file. The policy allows this origin alone, no frame around
// the page (or another site could lay its own buttons over those that kill), and
// no text that becomes markup.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'",
	"X-Frame-Options":              "DENY",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// Handler serves a page at / and its files under /page/, to GET and HEAD; all other
// paths are answered 404, as JSON. The page's own files are in a folder "assets", and
// index.html among them is what / shows.
func Handler(own embed.FS) http.Handler {
	files := make(map[string][]byte)
	for _, from := range []embed.FS{common, own} {
		list, err := fs.ReadDir(from, "assets")
		if err != nil {
			panic(err) // they are part of the program
		}
		for _, entry := range list {
			body, err := fs.ReadFile(from, path.Join("assets", entry.Name()))
			if err != nil {
				panic(err)
			}
			files["/page/"+entry.Name()] = body
		}
	}
	files["/"] = files["/page/index.html"]
	delete(files, "/page/index.html")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		body, ok := files[r.URL.Path]
		switch {
		case !ok:
			refuse(w, http.StatusNotFound, "there is nothing at this path")
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "the page can only be read")
		default:
			name := r.URL.Path
			if name == "/" {
				name = "index.html"
			}
			w.Header().Set("Content-Type", types[path.Ext(name)])
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
		}
	})
}

func refuse(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", sentence)
}
