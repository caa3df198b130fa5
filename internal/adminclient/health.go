package adminclient

import (
	"context"
	"net"
	"time"
)

// healthTime is less than the three seconds that container health checks are
// often given.
const healthTime = 2 * time.Second

// Check asks the service at an admin address whether it is well, or, where there is no
// such address, whether its listener accepts. Both are as they are configured.
func Check(admin, listener string) error {
	if admin == "" {
		conn, err := net.DialTimeout("tcp", Local(listener), healthTime)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	client := New(admin)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), healthTime)
	defer cancel()
	return client.Healthy(ctx)
}
