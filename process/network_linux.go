package process

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Network is the path of a network namespace, such as /var/run/netns/<name>;
// empty for that of this process.
type Network string

// ErrNetwork is what is wrong when a namespace cannot be joined.
var ErrNetwork = errors.New("join the network namespace")

// Do runs f in the namespace. The sockets that f makes belong there, whoever
// uses them later. f runs on a thread that ends with it, and must not leave it to
// others to make sockets.
func (n Network) Do(f func() error) error {
	if n == "" {
		return f()
	}
	return onOwnThread(func() error {
		if err := n.join(); err != nil {
			return err
		}
		return f()
	})
}

// join moves the calling thread into the namespace, and what it starts.
func (n Network) join() (err error) {
	if n == "" {
		return nil
	}
	f, err := os.Open(string(n))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w %s: %w", ErrNetwork, n, err)
	}
	return nil
}

// joinNetwork has the child be in its namespace.
func (b *birth) joinNetwork() error {
	if b.Network == "" {
		return nil
	}
	fd, err := b.open(string(b.Network), unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	b.step(fmt.Errorf("%w %s", ErrNetwork, b.Network), unix.SYS_SETNS, fd, unix.CLONE_NEWNET)
	return nil
}
