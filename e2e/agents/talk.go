package agents

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// SendLine opens a connection ("tcp" or "unix"), sends a line and gives the
// line that comes back.
func SendLine(ctx context.Context, network, addr, line string) (string, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}
