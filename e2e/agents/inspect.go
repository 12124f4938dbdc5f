package agents

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// PrivateMemory is what a process alone has in memory, in bytes: what would be
// free if it had not been started, and its program is in use elsewhere.
func PrivateMemory(pid int) (int, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	sum := 0
	for line := range bytes.Lines(rollup) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || !bytes.HasPrefix(fields[0], []byte("Private_")) {
			continue
		}
		kib, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// CommandLine is that of a process; empty when it has gone.
func CommandLine(pid int) []string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}

// Parent is the process that a process is a child of; 0 when it has gone.
func Parent(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// UserOf is the number of the user that a process runs as; -1 when it has gone.
func UserOf(pid int) int {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return -1
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
