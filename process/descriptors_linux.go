package process

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// openSocket is a descriptor of a process for a socket. Several may be for one.
type openSocket struct {
	fd    int
	inode uint64
}

// errGone is said of a process that has ended.
var errGone = fmt.Errorf("it has ended: %w", os.ErrProcessDone)

// sockets are what the process has open of them, in the order of the descriptors.
func (p *Process) sockets() ([]openSocket, error) {
	open, err := socketsOf(p.ID.PID)
	if err == nil && !p.runs() { // another may have had the pid
		err = errGone
	}
	if isGone(err) {
		err = errGone
	}
	if err != nil {
		return nil, fmt.Errorf("list the sockets of process %d: %w", p.ID.PID, hintTake(err))
	}
	return open, nil
}

// runs tells whether the pid is still the process'.
func (p *Process) runs() bool {
	st, err := readStat(p.ID.PID)
	return err == nil && st.startTime == p.ID.StartTime
}

func socketsOf(pid int) ([]openSocket, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := readNames(dir)
	if err != nil {
		return nil, err
	}
	var open []openSocket
	for _, name := range names {
		target, err := os.Readlink(dir + "/" + name)
		if err != nil {
			continue // closed meanwhile
		}
		fd, fdErr := strconv.Atoi(name)
		if inode, ok := socketInode(target); ok && fdErr == nil {
			open = append(open, openSocket{fd, inode})
		}
	}
	slices.SortFunc(open, func(a, b openSocket) int { return cmp.Compare(a.fd, b.fd) })
	return open, nil
}

// socketInode reads "socket:[4711]".
func socketInode(target string) (uint64, bool) {
	number, ok := strings.CutPrefix(target, "socket:[")
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode, ok && err == nil
}

// rawPIDFD gives the descriptor that the process is held by.
func (p *Process) rawPIDFD() (syscall.RawConn, error) {
	if p.pidfd == nil {
		return nil, errGone
	}
	return p.pidfd.SyscallConn()
}
