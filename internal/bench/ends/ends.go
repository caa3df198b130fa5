// Package ends plays both ends of the tunnels of a measurement: the clients and
// the origin, in one process, with a thread for each end. The proxy between them
// is a process of its own, so that nothing done here is charged to it. What
// proxies are, and what is made of the figures, is left to others.
package ends
