package agents

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bootID is where the kernel says which boot of the machine this is.
const bootID = "/proc/sys/kernel/random/boot_id"

// PowerOff ends the cluster's first node as the loss of its power does: the agents, the
// driver, every Envoy and every app at once; what was in memory is gone. Nomad's server
// stays, as if it were on another machine.
func (c *Cluster) PowerOff(ctx context.Context) error {
	errs := []error{c.Nomad.Kill(), c.Consul.Kill()}
	errs = append(errs, Within(ctx, 10*time.Second, func(context.Context) error {
		left := slices.DeleteFunc(c.Processes(""), func(pid int) bool { return pid == c.Nomad.Server.PID() })
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have gone with another
		}
		if len(left) > 0 {
			return fmt.Errorf("the processes %v still run", left)
		}
		return nil
	}))
	shared, err := filepath.Glob("/dev/shm/envoy_*")
	errs = append(errs, err, unmountBelow(c.Dir))
	for _, file := range shared {
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}

// NextBoot has all that is started from now on, by this process, see another boot of the
// machine, until back is called. The caller has a mount namespace of its own.
func NextBoot(dir string) (back func() error, err error) {
	file := filepath.Join(dir, "boot_id")
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	text := fmt.Sprintf("%x-%x-%x-%x-%x\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if err := os.WriteFile(file, []byte(text), 0o444); err != nil {
		return nil, err
	}
	if err := unix.Mount(file, bootID, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount %s over %s: %w", file, bootID, err)
	}
	return func() error { return unix.Unmount(bootID, unix.MNT_DETACH) }, nil
}
