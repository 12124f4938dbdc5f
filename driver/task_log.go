package driver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"nomad-driver-connect/sidecar"
)

const (
	maxLogTail = 64 << 10

	// maxLogNames is far more than Nomad keeps of the logs of all tasks of an allocation.
	maxLogNames = 10000

	// usualNamespace is where Nomad's commands look when they are told of none.
	usualNamespace = "default"
)

// logCommand shows the newest of it. Of a task that has not started, `nomad alloc logs`
// shows nothing.
func (x *proxy) logCommand() string {
	dirs, prefix := x.config.TaskDir(), x.config.Name+".stderr."
	newest, ok := newestLog(dirs.SharedAllocDir, filepath.Join(dirs.SharedAllocDir, "logs"), prefix)
	if !ok {
		newest = prefix + "0"
	}
	namespace := ""
	if n := x.config.Namespace; n != "" && n != usualNamespace {
		namespace = "-namespace " + n + " "
	}
	return fmt.Sprintf("nomad alloc fs %s%.8s alloc/logs/%s", namespace, x.config.AllocID, newest)
}

// logTail is the end of what the task has written to its log, as Nomad has it by now;
// nil when Nomad keeps none.
func (x *proxy) logTail() []byte {
	dir := filepath.Join(x.config.TaskDir().SharedAllocDir, "logs")
	return logTail(x.config.TaskDir().SharedAllocDir, dir, x.config.Name+".stderr.")
}

// logTail reads the end of the newest file in a directory below root, which other tasks
// can write to. The files are called by a prefix and a number.
func logTail(root, dir, prefix string) []byte {
	newest, ok := newestLog(root, dir, prefix)
	if !ok {
		return nil
	}
	f, err := sidecar.OpenBelow(root, filepath.Join(dir, newest), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	tail, _ := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-maxLogTail), maxLogTail)) // or as much as there is
	return tail
}

// newestLog is the name with the highest number.
func newestLog(root, dir, prefix string) (newest string, ok bool) {
	d, err := sidecar.OpenBelow(root, dir, os.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return "", false
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(maxLogNames) // or as many as there are
	highest := -1
	for _, name := range names {
		number, found := strings.CutPrefix(name, prefix)
		if n, err := strconv.Atoi(number); found && err == nil && n > highest {
			newest, highest = name, n
		}
	}
	return newest, highest >= 0
}
