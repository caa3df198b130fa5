package store

import "errors"

// What a store and its contents fail with, beside the errors of Sources and of the
// file system.
var (
	// ErrLocked says that another process has the directory.
	ErrLocked = errors.New("the cache directory is in use by another process")
	// ErrUnsafe says that others could write in the directory.
	ErrUnsafe = errors.New("the cache directory is not safe")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the cache is closed")
	// ErrNotCached says that content is not there.
	ErrNotCached = errors.New("not in the cache")
	// ErrNotKept says that there was no room for content.
	ErrNotKept = errors.New("there is no room for it in the cache")
	// ErrBusy says that content is being fetched.
	ErrBusy = errors.New("it is being fetched")
	// ErrMismatch says that content is not what its digest names, or not as long as
	// was said.
	ErrMismatch = errors.New("content is not what was asked for")
	// ErrInterrupted says that a transfer ended early, again and again.
	ErrInterrupted = errors.New("the transfer was interrupted")
	// ErrTooLarge says that content has more bytes than the caller takes.
	ErrTooLarge = errors.New("content is too large")
	// ErrNoRange is for a Source that cannot begin at an offset.
	ErrNoRange = errors.New("the upstream serves no ranges")
)
