package process

import "golang.org/x/sys/unix"

// archCalls are those that are called otherwise on other architectures.
var archCalls = []uint32{unix.SYS_FSTATAT}
