// Package systemd speaks with the service manager that has started this process:
// it takes over listening sockets (sd_listen_fds(3)) and tells how the service
// fares (sd_notify(3)). Without such a manager, and on systems that have none, all
// of it does nothing and costs nothing.
//
// What to listen on, what counts as healthy and when there is something to tell is
// left to the caller.
package systemd

// FromManager returns all that a manager has passed: see Inherited and NewNotifier. With
// an error there is nothing to close.
func FromManager() (*Sockets, *Notifier, error) {
	sockets, err := Inherited()
	if err != nil {
		return nil, nil, err
	}
	notify, err := NewNotifier()
	if err != nil {
		sockets.Close()
		return nil, nil, err
	}
	return sockets, notify, nil
}
