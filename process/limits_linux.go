package process

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// setLimits has nothing that we start leave a core: that would hold its secrets. It is our
// own limit, from which children have theirs: to change that of another process takes a
// right that agents in containers often do not have. (That they open as many files as they
// could let themselves, they have from us, too: Go raises its own limit.)
var setLimits = sync.OnceValue(func() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid cores: %w", err)
	}
	return nil
})
