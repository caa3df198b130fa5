package strict

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// spot is a part of the file whose place is wanted. Positions are looked up only
// when there is something to report, and only what was asked for is kept. All methods
// work on nil, which stands for a part that nobody asked for.
type spot struct {
	key, at int // byte offsets of key and value; -1: not found
	keys    map[string]*spot
	items   map[int]*spot
	tables  int // [[headers]] seen so far
}

func newSpot() *spot { return &spot{key: -1, at: -1} }

// want returns the spot for a step of a path, made when it is new.
func (w *spot) want(step any) *spot {
	var next *spot
	switch step := step.(type) {
	case string:
		if next = w.keys[step]; next == nil {
			next = newSpot()
			if w.keys == nil {
				w.keys = make(map[string]*spot)
			}
			w.keys[step] = next
		}
	case int:
		if next = w.items[step]; next == nil {
			next = newSpot()
			if w.items == nil {
				w.items = make(map[int]*spot)
			}
			w.items[step] = next
		}
	}
	return next
}

func (w *spot) child(key string) *spot {
	if w == nil {
		return nil
	}
	return w.keys[key]
}

func (w *spot) item(i int) *spot {
	if w == nil {
		return nil
	}
	return w.items[i]
}

// latest is the table that [[headers]] opened last, or w itself.
func (w *spot) latest() *spot {
	if w == nil || w.tables == 0 {
		return w
	}
	return w.item(w.tables - 1)
}

// found notes the first place where a part turns up.
func (w *spot) found(key, at int) {
	if w == nil {
		return
	}
	if w.key < 0 {
		w.key = key
	}
	if w.at < 0 {
		w.at = at
	}
}

// offsetsOf finds the byte offset of each finding, or -1. What is not in the
// text, such as a missing key, is at the nearest part around it.
func offsetsOf(text string, list []finding) []int {
	root := newSpot()
	for _, f := range list {
		w := root
		for _, step := range f.at.Path {
			w = w.want(step)
		}
	}
	scan(text, root)
	offsets := make([]int, len(list))
	for i, f := range list {
		w := root
		offsets[i] = -1
		for n, step := range f.at.Path {
			w = w.want(step)
			if w.at < 0 && w.key < 0 {
				break
			}
			offsets[i] = w.at
			if f.at.atKey && n == len(f.at.Path)-1 || w.at < 0 {
				offsets[i] = w.key
			}
		}
	}
	return offsets
}

type position struct{ line, column int }

// positionsOf turns byte offsets into lines and columns, in one pass.
func positionsOf(text string, offsets []int) map[int]position {
	sorted := slices.Clone(offsets)
	slices.Sort(sorted)
	found := make(map[int]position, len(sorted))
	line, start, from := 1, 0, 0
	for _, offset := range sorted {
		if offset < 0 {
			continue
		}
		offset = min(offset, len(text))
		line += strings.Count(text[from:offset], "\n")
		if n := strings.LastIndexByte(text[from:offset], '\n'); n >= 0 {
			start = from + n + 1
		}
		from = offset
		found[offset] = position{line, 1 + utf8.RuneCountInString(text[start:offset])}
	}
	return found
}
