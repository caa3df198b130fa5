// Package store keeps the content of registries on disk, each under its digest, and
// what is known of repositories: which content they hold, what their tags name, who
// may see them. Content is fetched once for all who want it, and each of them is fed
// from the file while it grows. What is fetched, for whom, and who may have it is
// decided elsewhere.
package store
