package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// orphanGrace is how long a killed process may take to be gone.
const orphanGrace = 5 * time.Second

// endOrphans ends an Envoy of this very task that nobody knows any more, as when
// the plugin was killed while it started one. It would hold the ports for ever,
// or share them silently.
func (s *Sidecar) endOrphans(ctx context.Context) error {
	pids, err := workingIn(s.spec.Run.Dir)
	for _, pid := range pids {
		if endErr := endProcess(ctx, pid); endErr != nil {
			err = errors.Join(err, fmt.Errorf("end process %d of an earlier run: %w", pid, endErr))
			continue
		}
		s.emit(fmt.Sprintf("Ended an Envoy of an earlier run (pid %d)", pid))
	}
	return err
}

// workingIn finds the processes whose working directory is dir. Only Envoy and
// root may enter a run directory, and no two tasks have the same.
func workingIn(dir string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || (cwd != dir && cwd != dir+" (deleted)") {
			continue // gone meanwhile, or none of ours
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func endProcess(ctx context.Context, pid int) error {
	id, err := identify(pid)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := attachProcess(id)
	if err != nil || p == nil {
		return err
	}
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orphanGrace)
	defer cancel()
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
