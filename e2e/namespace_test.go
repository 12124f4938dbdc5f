package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/e2e/agents"
)

// inNamespace marks the processes that run the tests.
const inNamespace = "E2E_IN_NAMESPACE"

// runInNamespaces runs the shards, each in namespaces of its own, and gives the exit
// status for all of them.
func runInNamespaces() int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "e2e: Nomad's client needs root; run: sudo -E make test")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	removeCgroups, err := agents.KeepCgroups()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: make cgroups:", err)
		return 1
	}
	status := runShards(ctx, shardCount())
	if err := removeCgroups(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: remove cgroups:", err)
		status = max(status, 1)
	}
	return status
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// sharedMemory is where Envoys share theirs; it is the tests' own, and small
// enough to be filled.
const sharedMemory = "/dev/shm"

func mountSharedMemory() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("tmpfs", sharedMemory, "tmpfs", 0, "size=1m,mode=1777")
}
