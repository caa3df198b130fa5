//go:build !linux

package store

const usedTimesAreKept = false
