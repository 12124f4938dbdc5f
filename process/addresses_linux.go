package process

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses are the IP addresses of this machine. The zero value is ready, and costs
// nothing as long as nobody follows it.
type Addresses struct {
	// Network is where they are.
	Network Network

	mu        sync.Mutex
	followers map[chan struct{}]struct{}
	end       func() // ends the watch; nil while nobody follows
}

// Has tells whether the machine has an address now; a machine that does not say has
// all.
func (a *Addresses) Has(ip netip.Addr) bool {
	if ip = ip.Unmap().WithZone(""); ip.IsUnspecified() || (ip.Is4() && ip.IsLoopback()) {
		return true // the whole net 127.0.0.0/8 is the loopback's
	}
	var found []net.Addr
	if err := a.Network.Do(func() (err error) {
		found, err = net.InterfaceAddrs()
		return err
	}); err != nil {
		return true
	}
	for _, at := range found {
		if prefix, err := netip.ParsePrefix(at.String()); err == nil && prefix.Addr() == ip {
			return true
		}
	}
	return false
}

// Follow tells that addresses may have come or gone, until stop is called. News that
// nobody takes are one.
func (a *Addresses) Follow() (news <-chan struct{}, stop func()) {
	follower := make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.followers == nil {
		a.followers = map[chan struct{}]struct{}{}
	}
	a.followers[follower] = struct{}{}
	if a.end == nil {
		a.end = a.watch()
	}
	return follower, func() { a.unfollow(follower) }
}

func (a *Addresses) unfollow(follower chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.followers, follower)
	if len(a.followers) == 0 && a.end != nil {
		a.end()
		a.end = nil
	}
}

func (a *Addresses) tell() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for follower := range a.followers {
		select {
		case follower <- struct{}{}:
		default:
		}
	}
}

// watch has the kernel tell of changes, by one socket for all that follow. Where it
// does not, everybody is to look once a second.
func (a *Addresses) watch() (end func()) {
	var changes *os.File
	if err := a.Network.Do(func() (err error) {
		changes, err = addressChanges()
		return err
	}); err != nil {
		return a.tick()
	}
	go func() {
		message := make([]byte, 4<<10) // what it says does not matter, nor whether all of it came
		for {
			_, err := changes.Read(message)
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return // closed
			}
			a.tell()
		}
	}()
	return func() { _ = changes.Close() }
}

// addressChanges opens what the kernel tells of changes on.
func addressChanges() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	groups := uint32(unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// tick tells once a second, whether or not there is news.
func (a *Addresses) tick() (end func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				a.tell()
			}
		}
	}()
	return func() { close(done) }
}
