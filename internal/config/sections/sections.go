// Package sections reads those parts of a configuration that several programs have in
// common: rules, [egress], and addresses to listen on. Types whose names end in Table
// are a part as it is written, for package strict to decode; their methods, Rules and
// Addresses turn it into what is meant, and find what is wrong with it.
//
// Which keys a program has beside these, and which flags override them, is left to the
// program's own package.
package sections

import "sluice/internal/config/strict"

// Report collects what is wrong, and what is hardly meant.
type Report struct{ Errors, Warnings strict.Findings }
