// Package readers holds no code of the proxy's. Its tests hand records of a real
// run, in Squid's format, to programs that read that format, and hold the figures
// that these give against what the run has moved.
package readers
