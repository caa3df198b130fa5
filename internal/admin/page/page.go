// Package page is the page at the root of the admin address: what passes through
// the proxy now, for an operator's browser. It is static files; all that it shows
// it gets from the admin interface beside it (events, explain, tunnels, config),
// which belongs to package admin. What it shares with other pages is in package pages.
//
// The plot is SVG of our own rather than a vendored library such as uPlot: it has
// two series of at most 600 points drawn once a second, which is a page of code
// and takes its colours from the style sheet, so that dark, high-contrast and
// printed views need no code; and its readings can be had by keyboard, which
// plots on a canvas leave to their users.
package page

import (
	"embed"
	"net/http"

	"sluice/internal/admin/pages"
)

//go:embed assets
var assets embed.FS

// Handler serves the page at / and its files under /page/.
func Handler() http.Handler { return pages.Handler(assets) }
