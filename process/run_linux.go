package process

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Limit bounds what a command may take of us.
type Limit struct {
	Time   time.Duration
	Output int // bytes that are kept of each of stdout and stderr: the last ones
}

// Result is what is left of a command.
type Result struct {
	Exit           Exit
	Stdout, Stderr []byte
}

// stragglers is how long who has no cgroup, and has left the command's session, may hold
// on to its output.
const stragglers = time.Second

// Run runs a command to its end. Its input is empty; what else it finds open follows
// three places of the launch's Files that are left free. The error is a *TimeoutError
// when its time was over; then there is a Result all the same.
func Run(ctx context.Context, l Launch, limit Limit) (Result, error) {
	bounded, cancel := context.WithTimeout(ctx, limit.Time)
	defer cancel()
	stdout, stderr := &tail{most: limit.Output}, &tail{most: limit.Output}
	exit, err := Stream(bounded, l, Streams{Stdout: stdout, Stderr: stderr, Linger: stragglers})
	if err == nil && bounded.Err() != nil {
		err = &TimeoutError{Path: l.Path, Limit: limit.Time, Err: ctx.Err()}
	}
	return Result{Exit: exit, Stdout: stdout.bytes(), Stderr: stderr.bytes()}, err
}

// TimeoutError says that a command was ended before it had come to its end.
type TimeoutError struct {
	Path  string
	Limit time.Duration
	Err   error // why nobody waits any more; nil when its own time was over
}

func (e *TimeoutError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("run %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("run %s: it did not end within %s, and was killed", e.Path, e.Limit)
}

// Unwrap lets it be told from others what is over.
func (e *TimeoutError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	return os.ErrDeadlineExceeded
}

// tail keeps the end of what is written to it, in no more than twice the room.
type tail struct {
	most int

	mu   sync.Mutex
	kept []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-t.most):]...)
	if len(t.kept) > 2*t.most {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-t.most:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.kept[max(0, len(t.kept)-t.most):]...)
}
